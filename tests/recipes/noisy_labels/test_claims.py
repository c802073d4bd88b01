"""What can be claimed of a classifier: metrics of each label by their own names."""

import pytest

from data.errors import DataError
from recipes.noisy_labels.claims import read
from recipes.noisy_labels.config import NoisyConfig


def config(tmp_path, metric):
    path = tmp_path / "claims.yaml"
    path.write_text(f"claims:\n  - {metric}: {{above: +0}}\n")
    return NoisyConfig(claims=str(path))


@pytest.mark.parametrize("metric", ["recall_good_film", "bad_film_rate", "f1_macro"])
def test_metrics_of_a_label_can_be_claimed(tmp_path, metric):
    [line] = read(config(tmp_path, metric), ("bad film", "good film")).lines
    assert line.metric == metric


def test_the_name_of_several_metrics_together_is_refused(tmp_path):
    with pytest.raises(DataError, match="'label_scores' is measured in pairs here; there is .*, precision_negative, "):
        read(config(tmp_path, "label_scores"), ("negative", "positive"))
    with pytest.raises(DataError, match="there is .*mc1"):
        read(config(tmp_path, "recall_positive"), None)
