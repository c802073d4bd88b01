"""Metrics of held-out preferences, and what is found wrong by them."""

import numpy as np
import pytest

from evals import metrics
from evals.preference_metrics import PreferenceData
from evals.preference_verdict import findings

PAIRS = 40


def measured(gain=0.0, fall=0.0, answers=("two words",) * PAIRS):
    """Pairs of four tokens a side, whose chosen answers gained ``gain`` nats, and both sides lost ``fall`` a token."""
    reference = np.tile([-8.0, -8.0], (PAIRS, 1))
    found = reference - 4 * fall + np.array([gain, 0.0])
    return PreferenceData(found, reference, np.full((PAIRS, 2), 4), 0.1, answers, ("two words",) * PAIRS)


def found_in(after, words=(2.0, 2.0, 2.0), longer=0.5):
    changes = metrics.changes(*(metrics.statistics("preferences", each) for each in (measured(), after)))
    return [each.verdict for each in findings(changes, *words, longer)]


def test_the_start_has_half_the_reward_accuracy_and_a_change_has_an_interval():
    before, after = measured(), measured(gain=1.0)
    values = [metrics.evaluate("preferences", each)["reward_accuracy"] for each in (before, after)]
    assert values == [0.5, 1.0]
    change = metrics.changes(*(metrics.statistics("preferences", each) for each in (before, after)))["reward_accuracy"]
    assert change.change == 0.5 and change.low is not None and 0.39 < change.low < 0.42 and change.high == 0.5
    assert metrics.evaluate("preferences", after)["reward_margin"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("after", "words", "longer", "expected"),
    [
        ({"gain": 1.0}, (2.0, 2.0, 2.0), 0.5, []),
        ({"gain": -1.0}, (2.0, 2.0, 2.0), 0.5, ["preference_not_learned"]),
        ({"gain": 0.0}, (2.0, 2.0, 2.0), 0.5, ["preference_not_learned"]),
        ({"gain": 1.0, "fall": 0.9}, (2.0, 2.0, 2.0), 0.5, ["likelihood_collapse"]),
        ({"gain": 1.0, "fall": 0.3}, (2.0, 2.0, 2.0), 0.5, []),
        ({"gain": 1.0}, (10.0, 40.0, 20.0), 0.9, ["length_gaming"]),
        ({"gain": 1.0}, (10.0, 20.0, 20.0), 0.9, []),
        ({"gain": 1.0}, (10.0, 2.0, 5.0), 0.1, ["length_gaming"]),
        ({"gain": 1.0}, (10.0, 40.0, 20.0), 0.5, []),
    ],
)
def test_each_failure_is_named(after, words, longer, expected):
    assert found_in(measured(**after), words, longer) == expected


def test_rouge_1_recall_counts_the_words_of_the_chosen_answers():
    answers = ("Two WORDS, and more.", "two", "none") + ("",) * (PAIRS - 3)
    values = metrics.evaluate("preferences", measured(answers=answers))
    assert values["rouge1_recall"] == pytest.approx(3 / (2 * PAIRS))
    assert values["answer_words"] == pytest.approx(6 / PAIRS)
