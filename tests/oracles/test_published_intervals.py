"""Paired intervals have published values, and hold the truth as often as they say."""

import numpy as np
import pytest

from evals import metrics, paired


def means(values):
    return np.stack([np.asarray(values, dtype=float), np.ones(len(values))], axis=1)


@pytest.mark.parametrize(
    ("both", "only_after", "only_before", "neither", "low", "high"),
    [
        # Newcombe 1998, table II, method 10: (e, f, g, h) with the change (f - g) / n
        (36, 12, 2, 0, 0.0569, 0.3404),
        (18, 12, 2, 18, 0.0562, 0.3290),
        (36, 14, 0, 0, 0.1528, 0.4167),
        (0, 0, 0, 50, -0.0714, 0.0714),
    ],
)
def test_paired_shares_have_newcombes_published_intervals(both, only_after, only_before, neither, low, high):
    after = np.array([True] * (both + only_after) + [False] * (only_before + neither))
    before = np.array([True] * both + [False] * only_after + [True] * only_before + [False] * neither)
    assert paired.PairedShares.of(before, after).interval(0.025) == pytest.approx((low, high), abs=1e-3)


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
