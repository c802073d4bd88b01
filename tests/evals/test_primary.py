"""The primary metric is chosen by the rows or by name, and decides verdict and champion in its own direction."""

import numpy as np
import pytest

from data.errors import ConfigError
from evals import primary
from evals.controls import controls, findings
from evals.metric import AnswerData
from evals.metrics import METRICS
from evals.paired import Difference
from recipes.promotion import _decide


@pytest.mark.parametrize(("data", "name"), [("answers", "chrf"), ("labels", "accuracy"), ("choices", "mc1"),
                                              ("preferences", "reward_accuracy")])  # fmt: skip
def test_auto_goes_by_what_the_rows_are(data, name):
    assert primary.choose("auto", data).name == primary.choose(name, data).name == name
    assert primary.choose("auc", "labels").name == "auc"


def test_metrics_of_answers_can_be_primary_of_preferences_and_rank_their_answers():
    assert primary.choose("auto", "preferences", "answers").name == "reward_accuracy"
    assert primary.choose("chrf", "preferences", "answers").name == "chrf"
    ranked = {name: primary.of_answers(name) for name in ("reward_accuracy", "lexicon_rate", "accuracy", "auto")}
    assert ranked == {"reward_accuracy": "chrf", "lexicon_rate": "lexicon_rate", "accuracy": "accuracy", "auto": "auto"}


def test_several_metrics_of_one_entry_are_no_primary_metric():
    with pytest.raises(ConfigError, match="^primary=label_scores: "):
        primary.choose("label_scores", "labels")


@pytest.mark.parametrize("name", ["chr", "accuracy", "train_loss", "length_ratio", ""])
def test_another_name_is_refused_with_those_that_there_are(name):
    with pytest.raises(ConfigError, match=rf"^primary={name}: it must be auto or a metric of these rows: .*chrf"):
        primary.choose(name, "answers")


def test_a_metric_that_the_rows_do_not_allow_is_refused():
    assert primary.choose("lexicon_rate", "answers").name == "lexicon_rate"
    with pytest.raises(ConfigError, match=r"^primary=lexicon_rate"):
        primary.choose("lexicon_rate", "answers", without=["lexicon_rate"])


def change(value, low, high):
    return Difference(45, 20.0, 20.0 + value, value, low, high, "by hand")


def test_less_is_better_where_the_metric_is_a_loss():
    assert _decide("perplexity", change(-5.0, -8.0, -2.0), "pirate/1").moved
    assert not _decide("perplexity", change(5.0, 2.0, 8.0), "pirate/1").moved
    assert not _decide("perplexity", change(-5.0, -8.0, -2.0), "pirate/1", least_gain=6.0).moved


def test_the_verdict_goes_by_the_primary_metric_too_and_a_loss_is_not_compared_with_copied_prompts():
    texts = [f"The {word} boat {i} be sailin' to the sea" for i, word in enumerate(["red", "old", "big", "new"] * 5)]
    losses = np.stack([np.full(20, 20.0), np.full(20, 10.0)], axis=1)
    data = AnswerData(["Hi"] * 20, texts, texts, [True] * 20, [False] * 20, [], 2.0, 2.0, row_losses=losses)
    better, worse = ([*findings(controls(each, data, METRICS["loss"]))] for each in
                     (change(-1.0, -2.0, -0.5), change(1.0, 0.5, 2.0)))  # fmt: skip
    assert better == [] and [each.verdict for each in worse] == ["not_better"]
    assert [each.verdict for each in findings(controls(None, data, METRICS["loss"]))] == ["not_shown"]
