"""Metrics between 0 and 1 have intervals that hold the truth with few rows, and agree with textbook ones on shares."""

import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from evals import metrics
from evals.claims import Measured, decide
from evals.claims_file import parse
from evals.metrics import METRICS
from evals.paired import estimate, ratio
from evals.paired_bounded import Bounded, CompareBounded


def shares(hits):
    hits = np.asarray(hits, dtype=float)
    return np.stack([hits, np.ones_like(hits)], axis=1)


def probabilities(rng, n, noise, sharpness=1.0):
    """(true label, probability of label 1) of two models of which the second is noisier and surer."""
    logit = 1.8 * rng.standard_normal(n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    common, own = rng.standard_normal((2, n))
    errors = 0.7 * common, noise * (0.5 * common + math.sqrt(0.75) * own)
    return [(truth, 1 / (1 + np.exp(-scale * (logit + e)))) for scale, e in zip((1, sharpness), errors, strict=True)]


def macro_f1(truth, p):
    answers, columns = p > 0.5, []
    for label in (0, 1):
        columns += [2.0 * (answers == label) * (truth == label), (answers == label) * 1.0 + (truth == label)]
    return np.stack(columns, axis=1)


def squares(truth, p):
    return np.stack([(p - truth) ** 2, np.ones_like(p)], axis=1)


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (45, 45), (170, 200)])
@pytest.mark.parametrize(("is_exact", "name"), [(False, "wilson"), (True, "beta")])
def test_a_share_has_the_textbooks_interval_where_the_standard_error_is_known(hits, n, is_exact, name):
    found = Bounded(hits / n, n, 1e9, is_exact)
    assert found.interval(0.025) == pytest.approx(proportion_confint(hits, n, method=name), abs=1e-6)
    assert found.p_above(found.interval(0.025)[0]) == pytest.approx(0.025, abs=1e-6) or hits == 0


def test_few_rows_make_it_wider_and_both_ends_stay_between_0_and_1():
    few, many = Bounded(0.9, 10, 3, True).interval(0.025), Bounded(0.9, 10, 1e9, True).interval(0.025)
    assert 0 <= few[0] < many[0] and many[1] < few[1] <= 1


@pytest.mark.parametrize(
    ("name", "rows_of", "n", "models"),
    [
        ("f1_macro", macro_f1, 10, {"noise": 2.0}),
        ("f1_macro", macro_f1, 10, {"noise": 0.7}),  # a bootstrap holds the truth in 72 % of cases
        ("brier", squares, 10, {"noise": 0.7, "sharpness": 2.0}),
        ("brier", squares, 20, {"noise": 2.0, "sharpness": 2.0}),
    ],
)
def test_the_truth_is_held_with_10_and_20_rows(name, rows_of, n, models):
    rng, trials, held = np.random.default_rng(0), 500, 0
    first, second = (rows_of(*each) for each in probabilities(np.random.default_rng(1), 200_000, **models))
    truth = metrics.change(name, first, second).change
    for _ in range(trials):
        found = metrics.change(name, *(rows_of(*each) for each in probabilities(rng, n, **models)))
        held += found is None or found.low <= truth <= found.high
    assert held / trials > 0.92  # with 95 %, below it in one of 700


def test_equal_answers_do_not_prove_that_counts_never_differ_but_equal_losses_do():
    rng = np.random.default_rng(3)
    [(truth, p), _] = probabilities(rng, 40, 1.0)
    same = metrics.change("f1_macro", macro_f1(truth, p), macro_f1(truth, p))
    assert same.change == 0 and -0.2 < same.low < -0.01 < 0.01 < same.high < 0.2
    same = metrics.change("brier", squares(truth, p), squares(truth, p))
    assert (same.low, same.high) == (0, 0)
    half = estimate(*[np.stack([np.arange(40) % 2.0, np.ones(40)], axis=1)[:, [0, 1]]] * 2)
    assert half.interval(0.025)[1] > 0.01


def test_an_f1_of_one_label_and_a_model_without_any_spread_have_intervals():
    f1 = np.array([[2, 2], [0, 1], [0, 0], [2, 2], [0, 1], [2, 2], [0, 0], [2, 2], [2, 2], [0, 1]], dtype=float)
    found = estimate(f1, np.roll(f1, 1, axis=0))
    assert found.method.startswith("intervals of effective sample size") and found.interval(0.025)[0] < 0
    flat, good = squares(np.ones(20), np.full(20, 0.5)), squares(np.ones(20), np.linspace(0.7, 0.95, 20))
    first, second, found = CompareBounded(ratio, is_continuous=True)(flat, good)
    assert first == 0.25 and found.interval(0.025)[0] < second - first < found.interval(0.025)[1] < 0


def test_a_claim_on_the_value_itself_takes_the_same_interval():
    rng = np.random.default_rng(5)
    first, second = (macro_f1(*each) for each in probabilities(rng, 12, 0.7))
    known = {"f1_macro": METRICS["f1_macro"].range}
    found = parse("claims:\n  - f1_macro: {above: 0.1}\n", "c.yaml", known)
    measured = Measured({"f1_macro": first}, {"f1_macro": second})
    [result] = decide(found, measured.estimate, measured.n)
    assert result.method == "interval of effective sample size" and 0 < result.low < result.value < result.high <= 1


def test_few_rows_and_undefined_values_have_no_interval():
    assert CompareBounded(ratio)(shares([1, 0, 1]), shares([1, 1, 1]))[2] is None
    assert CompareBounded(ratio)(np.zeros((9, 2)), shares([1] * 9)) is None
    assert CompareBounded(ratio)(np.zeros((0, 2)), np.zeros((0, 2))) is None
