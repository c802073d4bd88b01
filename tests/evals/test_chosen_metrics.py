"""Which metrics of held-out answers a run keeps and shows."""

from dataclasses import dataclass

import pytest

from data.errors import ConfigError
from evals.chosen_metrics import choose, select, select_outcome
from evals.generation import Scores

ANSWERS = ("answers",)


def test_auto_takes_all_and_names_take_themselves_and_the_primary_metric():
    assert choose("auto", ANSWERS, "chrf") is None
    assert choose("loop_rate, stop_rate", ANSWERS, "chrf") == {"loop_rate", "stop_rate", "chrf"}


@pytest.mark.parametrize("setting", ["lexicon_rate", "chrf,rouge", "", ","])
def test_a_metric_that_the_rows_do_not_have_is_refused_with_those_that_they_have(setting):
    with pytest.raises(ConfigError, match="must be auto or metrics of these rows: .*chrf") as refused:
        choose(setting, ANSWERS, "chrf", without=("lexicon_rate",))
    assert "lexicon_rate," not in str(refused.value)


def test_ends_of_intervals_go_with_their_metric_and_suites_stay():
    found = dict.fromkeys(["chrf", "chrf_low", "chrf_high", "loop_rate", "everyday/perplexity"], 1.0)
    assert set(select(found, frozenset({"chrf"}))) == {"chrf", "chrf_low", "chrf_high", "everyday/perplexity"}
    assert select(found, None) == found


def test_an_outcome_keeps_its_verdict_and_no_other_metrics():
    @dataclass
    class Found:
        before: Scores
        after: Scores
        changes: dict[str, float]
        verdict: str

    scores = Scores({"chrf": 1.0, "loop_rate": 0.5}, [], {"chrf": 1, "loop_rate": 2})  # type: ignore[dict-item]
    kept = select_outcome(Found(scores, scores, {"chrf": 0.0, "loop_rate": 0.0}, "looping"), frozenset({"chrf"}))
    assert kept.before.values == kept.after.values == {"chrf": 1.0}
    assert kept.after.statistics == scores.statistics, "single answers are flagged by those of other metrics"
    assert kept.changes == {"chrf": 0.0} and kept.verdict == "looping"
