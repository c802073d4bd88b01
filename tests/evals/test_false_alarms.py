"""The truth that ``benchmarks/false_alarms.py`` counts intervals against."""

import numpy as np
import pytest

from benchmarks.false_alarms import EQUAL, SHAPES, true_change


@pytest.mark.parametrize("name", EQUAL)
def test_equal_models_have_no_true_change_and_their_rows_one_distribution(name):
    _, draw, _ = SHAPES[name]
    before, after = draw(np.random.default_rng(5), 40_000)
    error = np.sqrt(np.clip((after - before).var(0), 1e-12, None) / len(before))
    assert (np.abs((after - before).mean(0)) < 4 * error).all()
    assert true_change(name, 10) == 0.0


def test_models_that_differ_do_in_the_population():
    assert {"AUC, worse", "ECE, one too sure"}.isdisjoint(EQUAL)
    assert true_change("AUC, worse", 10) == pytest.approx(-0.094, abs=0.003)
