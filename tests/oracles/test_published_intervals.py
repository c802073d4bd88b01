"""Paired intervals have published values, and hold the truth as often as they say."""

import numpy as np
import pytest
from scipy.optimize import minimize

from evals import metrics, paired
from evals.paired_shares import PairedShares, RelativeShares


def means(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


def test_paired_shares_have_tangos_published_interval():
    # Fagerland, Lydersen and Laake, Recommended tests and confidence intervals for paired binomial proportions,
    # Statistics in Medicine 33, 2014: airway hyper-responsiveness before and after a transplantation
    assert PairedShares(1, 1, 7, 12).interval(0.025) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize("counts", [(20, 12, 4, 9), (5, 0, 3, 9), (30, 0, 0, 15), (40, 5, 0, 0)])
def test_an_end_of_paired_shares_is_where_the_likeliest_counts_with_this_change_are_rejected(counts):
    """Pearson's statistic of the counts against those with the largest likelihood under the end is z squared."""
    observed, pairs = np.array(counts, dtype=float), PairedShares(*counts)
    ends = [(end, [0, 1, -1, 0], end) for end in pairs.interval(0.025)]
    ends += [(end, [-end, 1, -1 - end, 0], 0.0) for end in RelativeShares(pairs).interval(0.025)]
    for end, contrast, change in ends:
        conditions = [{"type": "eq", "fun": lambda p: p.sum() - 1},
                      {"type": "eq", "fun": lambda p, c=contrast, d=change: p @ c - d}]  # fmt: skip
        found = minimize(lambda p: -(observed * np.log(p)).sum(), np.full(4, 0.25), constraints=conditions,
                         bounds=[(1e-9, 1)] * 4, options={"ftol": 1e-14, "maxiter": 500})  # fmt: skip
        expected = found.x * observed.sum()
        assert ((observed - expected) ** 2 / expected).sum() ** 0.5 == pytest.approx(1.95996, abs=1e-3), end


@pytest.mark.parametrize("n", [20, 45])
def test_the_bootstrap_covers_the_true_change_of_skewed_values(n):
    rng, hits, trials = np.random.default_rng(5), 0, 150
    for i in range(trials):
        before = rng.gamma(1.5, 1, n)
        found = paired.difference(means(before), means(before / 2 + rng.gamma(1.5, 1, n) / 2 + 0.5), seed=i)
        hits += found.low <= 0.5 <= found.high
    assert hits / trials > 0.89  # a run of 150 with 94 % lies above with a chance of 99 %


@pytest.mark.parametrize(("metric", "spread", "truth"), [("auc", 1.0, 0.0), ("auc", 0.3, 0.0), ("brier", 1.0, 0.0)])
def test_equal_classifiers_are_seldom_taken_for_different(metric, spread, truth):
    rng, held, trials = np.random.default_rng(2), 0, 150
    for i in range(trials):
        labels = (np.arange(40) % 2).astype(float)
        p = 1 / (1 + np.exp(-(2 * labels - 1) - spread * rng.standard_normal((2, 40))))
        rows = [np.stack([labels, each], axis=1) for each in p]
        if metric == "brier":
            rows = [means((each[:, 1] - each[:, 0]) ** 2) for each in rows]
        found = metrics.change(metric, *rows, seed=i)
        held += found.low <= truth <= found.high
    assert held / trials > 0.89
