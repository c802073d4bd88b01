"""The difference of two models on the same rows has an interval that holds its level, in pairs, for few rows too."""

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from evals import paired
from evals.metrics import METRICS


def means(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def test_the_change_is_the_second_models_value_less_the_firsts():
    found = paired.difference(means([1, 2, 3] * 5), means([2, 4, 3] * 5))
    assert (found.n, found.before, found.after, found.change) == (15, 2.0, 3.0, 1.0)
    assert found.low < 1 < found.high and found.is_increase and not found.is_decrease


def test_pairs_make_an_interval_narrow_where_rows_differ_much_and_models_little():
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 10, 60)
    found = paired.difference(means(rows), means(rows + 0.5 + rng.normal(0, 0.1, 60)))
    assert 0.4 < found.low < found.high < 0.6


def test_the_same_seed_gives_the_same_interval_and_equal_models_differ_by_nothing():
    rng = np.random.default_rng(1)
    before, after = means(rng.gamma(1, 1, 30)), means(rng.gamma(2, 1, 30))
    assert paired.difference(before, after, seed=3) == paired.difference(before, after, seed=3)
    same = paired.difference(before, before)
    assert (same.change, same.low, same.high) == (0, 0, 0) and not same.is_increase


def test_too_few_rows_for_a_bootstrap_give_no_interval():
    found = paired.difference(means([1.5, 2.5]), means([2.5, 3.0]))
    assert found.change == 0.75 and found.low is None and not (found.is_increase or found.is_decrease)


def test_a_metric_that_is_undefined_for_a_model_has_no_difference():
    nothing = np.zeros((5, 2))
    assert paired.difference(nothing, means([1, 1, 1, 1, 1])) is None
    assert paired.difference(np.zeros((0, 2)), np.zeros((0, 2))) is None


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="not of the same rows"):
        paired.difference(means([1]), means([1, 2]))


def test_shares_take_tangos_interval_and_zero_and_one_have_width():
    found = paired.difference(means([0] * 45), means([1] * 45))
    assert found.method.startswith("Tango") and found.change == 1 and 0.8 < found.low < 1 == found.high
    low, high = proportion_confint(45, 45, method="wilson")
    assert high - low < found.high - found.low


def test_rows_that_all_change_by_the_same_have_an_interval_of_one_point():
    before = np.stack([np.arange(40.0), np.ones(40)], axis=1)
    found = paired.difference(before, before - [2.0, 0.0])
    assert found is not None and found.change == found.low == found.high == -2 and found.is_decrease


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_perplexities_of_very_few_rows_are_compared_without_an_error(n):
    rows = np.stack([np.linspace(3.0, 5.0, n), np.ones(n)], axis=1)
    assert METRICS["perplexity"].difference(rows, rows * 0.9, 7) is not None


def test_every_metric_of_base_and_tuned_model_is_paired_but_counts_and_a_reference():
    both = {"answers", "labels", "choices", "preferences"}
    without = {name for name, each in METRICS.items() if not each.statistics and both & set(each.data)}
    of_training_rows = {"train_loss"}  # evals.generation.Scores
    assert without == {"n", "n_probabilities", "prompts_cut", "ece_if_calibrated"} | of_training_rows
