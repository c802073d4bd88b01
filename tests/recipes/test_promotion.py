"""A version becomes champion where its rows beat the champion's by more than chance, and the line says so."""

import numpy as np
import pytest

from evals.paired import Difference, difference
from recipes.promotion import _decide, promote
from registry.versions import Version


def change(low, high, value=4.7):
    return Difference(45, 85.0, 85.0 + value, value, low, high, "by hand")


@pytest.mark.parametrize(
    ("low", "high", "moved", "said"),
    [
        (1.2, 9.0, True, "chrF 89.7 against pirate/1's 85.0, a change of +4.7 (+1.2 to +9.0)"),
        (-1.1, 17.4, False, "undecided: chrF 89.7 against pirate/1's 85.0"),
        (-1.1, 17.4, False, "24 more test rows would decide"),
        (None, None, False, "45 rows are too few"),
    ],
)
def test_the_interval_decides_and_is_quoted(low, high, moved, said):
    found = _decide("chrf", change(low, high), "pirate/1")
    assert found.moved == moved and said in found.reason


def test_of_several_seeds_more_of_these_are_needed_too():
    assert "24 more test rows and 2 more seeds would decide" in _decide("chrf", change(-1.1, 17.4), "p/1", 0, 3).reason


def test_a_worse_version_and_the_same_answers_again_do_not_move_it():
    assert not _decide("chrf", change(-9.0, -1.0, value=-4.7), "pirate/1").moved
    same = _decide("chrf", change(0.0, 0.0, value=0.0), "pirate/1")
    assert not same.moved and "every row is the same" in same.reason


def test_equal_models_of_other_seeds_are_seldom_taken_for_better():
    rng, moved = np.random.default_rng(0), 0
    ones = np.ones(45)
    for seed in range(200):
        first, second = (np.stack([rng.gamma(2, 1, 45), ones], axis=1) for _ in range(2))
        found = difference(first, second, seed=seed)
        moved += found is not None and found.is_increase
    assert moved / 200 <= 0.06  # 2.5 % on average


def test_a_gain_below_the_least_that_is_asked_for_does_not_move_it():
    found = _decide("chrf", change(1.2, 9.0), "pirate/1", least_gain=5.0)
    assert not found.moved and "(+1.2 to +9.0), less than least_gain=5" in found.reason
    assert _decide("chrf", change(1.2, 9.0), "pirate/1", least_gain=4.7).moved
    undecided = _decide("chrf", change(-1.1, 17.4), "pirate/1", least_gain=5.0)  # more rows would not do
    assert not undecided.moved and "less than least_gain=5" in undecided.reason and "more" not in undecided.reason
    assert "more test rows" in _decide("chrf", change(-1.1, 17.4), "pirate/1", least_gain=4.7).reason
    assert "undecided" in _decide("chrf", change(-17.4, 1.1, value=-4.7), "pirate/1").reason


def test_a_version_that_broke_a_keep_is_not_compared_at_all(store):
    version = Version("pirate", 2, "run", "source", {"verdict": "healthy", "test_digest": "d"}, ())
    found = promote(version, "chrf", 99.0, {}, broken=["keep stop_rate not_below -0.03: -0.40"])
    assert (
        found.sentence.startswith("no champion yet") and "it broke what had to be kept: keep stop_rate" in found.reason
    )
