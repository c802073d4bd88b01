"""The prediction-powered mean is that of ppi-python, and covers the truth as often as it claims.

The values are what ``ppi_mean_pointestimate`` and ``ppi_mean_ci`` of ppi-python 0.2.3 gave on the same ratings. The
package is no requirement: it installs a package called ``tests``, which then stands in for this folder.
"""

import numpy as np
import pytest

from evals.prediction_powered import mean


def ratings(rng, n, agreement=0.8):
    """Ratings of 0, 0.5 or 1 with a mean of 0.6, and those of a model that gives the same as often as it says."""
    truth = rng.choice([0.0, 0.5, 1.0], n, p=[0.3, 0.2, 0.5])
    return truth, np.where(rng.random(n) < agreement, truth, rng.choice([0.0, 0.5, 1.0], n))


@pytest.mark.parametrize(
    ("n", "others", "value", "low", "high"),
    [
        (12, 45, 0.5430200131233596, 0.3008673281229397, 0.7851726981237794),
        (60, 400, 0.6276667244586285, 0.566743790763878, 0.6885896581533789),
        (200, 30, 0.6097467769996415, 0.5545181850355565, 0.6649753689637266),
    ],
)
def test_it_is_that_of_ppi_python(n, others, value, low, high):
    rng = np.random.default_rng(n)
    (rated, predicted), (_, alone) = ratings(rng, n), ratings(rng, others)
    found = mean(rated, predicted, alone)
    assert found.value == pytest.approx(value, abs=1e-9)
    assert found.interval == pytest.approx((low, high), abs=1e-9)


def test_intervals_cover_the_truth_and_are_narrower_than_without_the_model():
    rng = np.random.default_rng(1)
    covered, widths, plain = 0, 0.0, 0.0
    for _ in range(1000):
        (rated, predicted), (_, alone) = ratings(rng, 60), ratings(rng, 600)
        low, high = mean(rated, predicted, alone).interval
        covered += low <= 0.6 <= high
        widths, plain = widths + high - low, plain + 2 * 1.96 * rated.std() / np.sqrt(60)
    assert 0.93 <= covered / 1000 <= 0.97
    assert widths < 0.85 * plain


def test_a_model_that_gives_one_rating_to_all_adds_nothing():
    rated = np.array([0.0, 1.0, 1.0, 0.5])
    found = mean(rated, np.full(4, 0.5), np.full(9, 0.5))
    assert (found.weight, found.value) == (0.0, rated.mean())
