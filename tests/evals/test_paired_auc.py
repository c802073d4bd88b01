"""The change of AUC between two models: the profile interval of correlated logits, and what it holds."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t

from evals.estimates import OfLogits, relative
from evals.paired_auc import compare_auc

VALUES, COVARIANCE = np.array([0.7, 0.9]), np.array([[0.09, 0.05], [0.05, 0.25]])


def rows(random, n, first=0.0, second=0.0, correlation=0.8):
    """(label, score) of two models whose scores of label 1 lie so many standard deviations higher."""
    truth = (np.arange(n) % 2).astype(float)
    scores = random.standard_normal(n)
    other = correlation * scores + np.sqrt(1 - correlation**2) * random.standard_normal(n)
    return np.stack([truth, scores + first * truth], axis=1), np.stack([truth, other + second * truth], axis=1)


@pytest.mark.parametrize("is_ratio", [False, True])
def test_the_ends_are_the_extremes_over_the_ellipse_as_an_optimiser_finds_them(is_ratio):
    found = OfLogits(VALUES, COVARIANCE, 8, "by hand", is_ratio)
    logits, inverse = np.log(VALUES / (1 - VALUES)), np.linalg.inv(COVARIANCE)

    def of(x):
        first, second = 1 / (1 + np.exp(-x))
        return np.log(second / first) if is_ratio else second - first

    inside = {"type": "ineq", "fun": lambda x: t.ppf(0.975, 8) ** 2 - (x - logits) @ inverse @ (x - logits)}
    ends = [sign * minimize(lambda x, s=sign: s * of(x), logits, constraints=inside).fun for sign in (1, -1)]
    assert found.interval(0.025) == pytest.approx(ends, abs=1e-5)
    assert found.value == pytest.approx(of(logits))


def test_p_values_agree_with_the_interval():
    found = OfLogits(VALUES, COVARIANCE, 8, "by hand")
    low, high = found.interval(0.01)
    assert found.p_above(low) == pytest.approx(0.01, abs=1e-4)
    assert found.p_below(high) == pytest.approx(0.01, abs=1e-4)


def test_scores_in_the_same_order_are_the_same_model():
    before, _ = rows(np.random.default_rng(3), 40, 1.0)
    after = np.stack([before[:, 0], 3 * before[:, 1] ** 3 + before[:, 1]], axis=1)
    first, second, found = compare_auc(before, after)
    assert first == second and found.interval(0.025) == pytest.approx((0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize(("first", "second", "truth"), [(1.2, 1.2, 0.0), (2.5, 2.5, 0.0), (0.36, 1.19, 0.1993)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(first, second, truth):
    random, held = np.random.default_rng(1), []
    for _ in range(300):
        *_, found = compare_auc(*rows(random, 60, first, second))
        low, high = found.interval(0.025)
        held.append(low <= truth <= high)
    assert 0.92 <= np.mean(held) <= 0.98


def test_an_auc_of_one_has_no_logit_and_an_interval_all_the_same():
    truth = (np.arange(20) % 2).astype(float)
    perfect, other = np.stack([truth, truth], axis=1), rows(np.random.default_rng(2), 20, 0.5)[0]
    first, second, found = compare_auc(other, perfect)
    low, high = found.interval(0.025)
    assert second == 1.0 and low < second - first <= high
    assert relative(first, second, found) is not None
