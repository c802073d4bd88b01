"""Intervals and tests are those of statsmodels and SciPy."""

import random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import ttost_paired

from evals.classification import Prediction
from evals.intervals import student_t, wilson
from evals.paired import estimate
from evals.significance import compare, holm


def answers(*outcomes):
    return [Prediction(outcome) for outcome in outcomes]


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (44, 45), (120, 200)])
def test_wilson_is_statsmodels(hits, n):
    assert wilson(hits, n) == pytest.approx(proportion_confint(hits, n, method="wilson"))


@pytest.mark.parametrize("seed", range(6))
def test_mcnemar_is_statsmodels_exact_test(seed):
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 2, 60).tolist()
    before, after = draw.integers(0, 2, (2, 60)).tolist()
    hits = [(a == t, b == t) for t, a, b in zip(truth, before, after, strict=True)]
    table = [[hits.count((x, y)) for y in (True, False)] for x in (True, False)]
    assert compare(truth, answers(*before), answers(*after)).p_value == pytest.approx(mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("seed", range(6))
def test_the_p_value_is_that_of_an_exact_binomial_test_and_the_same_either_way(seed):
    draw = random.Random(seed)
    truth = [draw.randint(0, 1) for _ in range(80)]
    before, after = (answers(*(draw.choice((0, 1, "invalid")) for _ in truth)) for _ in range(2))
    found, back = compare(truth, before, after), compare(truth, after, before)
    won = sum(b.outcome == t != a.outcome for t, a, b in zip(truth, before, after, strict=True))
    lost = sum(a.outcome == t != b.outcome for t, a, b in zip(truth, before, after, strict=True))
    tail = 2 * stats.binom.cdf(min(won, lost), won + lost, 0.5)
    assert found.p_value == pytest.approx(min(1.0, tail)) == back.p_value
    assert (found.only_before, found.only_after, found.gain) == (lost, won, -back.gain)


def test_holm_is_statsmodels():
    raw = np.random.default_rng(1).random(9) ** 3
    assert holm(raw.tolist()) == pytest.approx(multipletests(raw, method="holm")[1])


def test_the_interval_of_a_mean_is_scipys():
    values = [0.7, 0.8, 0.75, 0.6]
    assert student_t(values) == pytest.approx(stats.t.interval(0.95, 3, np.mean(values), stats.sem(values)))


@pytest.mark.parametrize(("shift", "margin"), [(0.0, 0.2), (0.1, 0.2), (0.15, 0.2)])
def test_equivalence_by_two_one_sided_tests_is_near_statsmodels(shift, margin):
    rng = np.random.default_rng(7)
    before = rng.normal(0, 1, 300)
    after = before + shift + rng.normal(0, 1, 300)
    found = estimate(*(np.stack([each, np.ones(300)], axis=1) for each in (before, after)))
    assert found is not None
    p_value = max(found.p_above(-margin), found.p_below(margin))
    theirs = ttost_paired(after, before, -margin, margin)[0]
    assert theirs - 1e-6 <= p_value <= theirs + 0.02  # of 2,000 resamples; never smaller than Student's
