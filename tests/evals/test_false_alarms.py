"""The truths that ``benchmarks/false_alarms.py`` and ``benchmarks/mean_coverage.py`` count intervals against."""

import numpy as np
import pytest

from benchmarks import mean_coverage
from benchmarks.false_alarms import EQUAL, SHAPES, population_change, true_change


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


@pytest.mark.parametrize("name", ["share of rows", "share of answered rows", "length ratio", "mean of rows"])
def test_true_changes_by_formula_are_those_of_the_population(name):
    metric, models = mean_coverage.SHAPES[name]
    for seed in range(3):
        draw, truth = models(np.random.default_rng(seed))
        assert population_change(metric, draw, 200_000) == pytest.approx(truth, abs=0.01)


def test_two_models_of_a_simulation_are_the_same_for_every_number_of_rows():
    found = mean_coverage.simulate("length ratio", 30)
    assert [line["n"] for line in found] == [10, 45, 200] and all(line["intervals"] == 30 for line in found)
    assert all(line["covered"] > 0.8 for line in found)
