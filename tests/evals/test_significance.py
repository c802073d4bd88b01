"""McNemar on the rows that differ, Holm over many tests, means over seeds with the interval of Student's t."""

import random

import numpy as np
import pytest
from scipy import stats

from evals.classification import Prediction
from evals.significance import SHARE, compare, holm, mean_over_seeds


def answers(*outcomes):
    return [Prediction(outcome) for outcome in outcomes]


def test_only_rows_that_differ_count_and_silence_is_wrong():
    truth = [1, 1, 1, 0, 0, 0]
    found = compare(truth, answers(1, 0, "error", 0, "invalid", 1), answers(1, 1, 1, 0, 0, "invalid"))
    assert (found.n, found.only_before, found.only_after, found.gain) == (6, 0, 3, 0.5)
    assert found.p_value == pytest.approx(0.25)  # 2 * (1/2)^3


def test_models_that_never_differ_show_nothing_and_no_rows_say_nothing():
    assert compare([0, 1], answers(0, 0), answers(0, 0)).p_value == 1.0
    assert (compare([], [], []).p_value, compare([], [], []).gain) == (None, None)
    with pytest.raises(ValueError):
        compare([0, 1], answers(0, 1), answers(0))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.04, None, 0.01]) == [pytest.approx(0.04), None, pytest.approx(0.02)]
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([None]) == [None]


@pytest.mark.parametrize("seed", range(6))
def test_holm_keeps_the_order_and_lies_between_the_raw_and_bonferronis_values(seed):
    draw = random.Random(seed)
    raw = [draw.choice((draw.random(), 0.02)) ** 2 for _ in range(draw.randint(1, 9))]
    adjusted = holm(raw)
    for p, q in zip(raw, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(raw)) + 1e-12
    assert [q for _, q in sorted(zip(raw, adjusted, strict=True))] == sorted(adjusted)
    assert adjusted[int(np.argmin(raw))] == pytest.approx(min(1.0, min(raw) * len(raw)))


def test_the_mean_over_seeds_has_students_interval_and_leaves_out_what_is_undefined():
    found = mean_over_seeds([0.7, None, 0.8, 0.75])
    expected = stats.t.interval(0.95, 2, 0.75, stats.sem([0.7, 0.8, 0.75]))
    assert (found.n, found.mean) == (3, pytest.approx(0.75))
    assert (found.low, found.high) == pytest.approx(expected)


def test_the_interval_of_a_share_ends_where_shares_end():
    found = mean_over_seeds([0.98, 1.0, 0.99], SHARE)
    assert found.low < 0.97 and found.high == 1 and mean_over_seeds([0.98, 1.0, 0.99]).high > 1


def test_one_seed_has_no_interval_and_none_no_mean():
    assert (mean_over_seeds([0.5]).low, mean_over_seeds([0.5]).high, mean_over_seeds([0.5]).mean) == (None, None, 0.5)
    assert mean_over_seeds([None]) is None and mean_over_seeds([]) is None
