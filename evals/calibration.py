"""Whether a model is as sure as it is right: Brier score, expected calibration error, the bins of a diagram.

Confidence is the probability of the likelier label, max(p, 1 - p), so .5 to 1.

ECE is the mean over bins of |mean confidence - accuracy|, weighted by rows (Guo et al. 2017, On Calibration of Modern
Neural Networks, arXiv:1706.04599, with its M = 15). Our bins hold equally many rows, not equal widths of confidence:
with widths almost all rows of a sure model fall into one bin (Nixon et al. 2019, Measuring Calibration in Deep
Learning, arXiv:1904.01685, sections 3 and 4). Rows of equal confidence that lie across a border are divided in
proportion, so the order of the rows never matters.

ECE is never below 0, so chance alone lifts it: a perfectly calibrated model on few rows does not show 0. Hence
``ece_if_calibrated``, the mean that such a model would show with the same confidences (resampled labels, after
Broecker and Smith 2007, Increasing the Reliability of Reliability Diagrams), and an interval that allows for it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.intervals import LEVEL, Interval

BINS = 15
RESAMPLES = 500


@dataclass(frozen=True)
class Calibration:
    """All None where there are no rows with a probability."""

    brier: float | None = None
    ece: float | None = None
    ece_interval: Interval | None = None
    ece_if_calibrated: float | None = None
    mean_confidence: float | None = None


@dataclass(frozen=True)
class Bin:
    """One bin of a reliability diagram: rows (a fraction where equal confidences are divided), and their means."""

    low: float
    high: float
    rows: float
    confidence: float
    accuracy: float


def measure(truth: np.ndarray, p_positive: np.ndarray, seed: int, resamples: int = RESAMPLES) -> Calibration:
    """Brier score (mean of (p - y)^2; Brier 1950), ECE with its interval, and mean confidence."""
    if not len(p_positive):
        return Calibration()
    confidence, right = _confidence(truth, p_positive)
    value = ece(confidence, right)
    interval, calibrated = ece_interval(confidence, right, seed, resamples)
    brier = float(np.mean((p_positive - truth) ** 2))
    return Calibration(brier, value, interval, calibrated, float(confidence.mean()))


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error of at least one row, in ``bins`` bins of equally many rows."""
    _, place = np.unique(confidence, return_inverse=True)
    return _ece(place, confidence - right, None, bins)


def ece_interval(
    confidence: np.ndarray, right: np.ndarray, seed: int, resamples: int = RESAMPLES, bins: int = BINS
) -> tuple[Interval, float]:
    """(95 % interval of the ECE, the mean ECE of a calibrated model with these confidences).

    A bootstrap over rows. Each resample lifts the ECE once more, so the percentiles themselves lie too high: on 1,000
    rows of a calibrated model they never hold its true ECE, 0. They are mirrored at the estimate instead (the basic
    bootstrap: Davison and Hinkley 1997, section 5.2), the estimate itself is always inside, and the lower end is 0
    where a calibrated model would show as much in more than 2.5 % of cases. In simulations of 100 to 2,000 rows the
    interval held the truth 82 to 98 times of 100, least often for an ECE near .1 on 500 rows.
    """
    random = np.random.default_rng(seed)
    n = len(confidence)
    _, place = np.unique(confidence, return_inverse=True)
    gap = confidence - right
    value = _ece(place, gap, None, bins)
    sampled = [_ece(place, gap, random.integers(0, n, n), bins) for _ in range(resamples)]
    calibrated = [_ece(place, confidence - (random.random(n) < confidence), None, bins) for _ in range(resamples)]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(sampled, [tail, 1 - tail])
    explained = value <= np.quantile(calibrated, 1 - tail)
    ends = (0.0 if explained else max(0.0, 2 * value - high), min(1.0, max(value, 2 * value - low)))
    return (float(ends[0]), float(ends[1])), float(np.mean(calibrated))


def reliability_bins(truth: Any, p_positive: Any, bins: int = BINS) -> list[Bin]:
    """The bins that ``ece`` is made of, by rising confidence; none where there are no rows."""
    truth, p_positive = np.asarray(truth), np.asarray(p_positive, dtype=float)
    if not len(p_positive):
        return []
    confidence, right = _confidence(truth, p_positive)
    values, place = np.unique(confidence, return_inverse=True)
    mass, sure = _sums(place, confidence, None)
    _, hits = _sums(place, right.astype(float), None)
    edges = np.linspace(0, mass[-1], bins + 1)
    rows = mass[-1] / bins
    means = [np.diff(np.interp(edges, mass, sums)) / rows for sums in (sure, hits)]
    lows = np.searchsorted(mass, edges[:-1] + 1e-9, side="right") - 1
    highs = np.searchsorted(mass, edges[1:] - 1e-9, side="left") - 1
    return [
        Bin(float(values[low]), float(values[high]), rows, float(sure_mean), float(accuracy))
        for low, high, sure_mean, accuracy in zip(lows, highs, *means, strict=True)
    ]


def _confidence(truth: np.ndarray, p_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum(p_positive, 1 - p_positive), (p_positive > 0.5) == (truth == 1)


def _ece(place: np.ndarray, gap: np.ndarray, sampled: np.ndarray | None, bins: int) -> float:
    """ECE of the rows ``sampled`` (all for None): ``place`` is a row's rank by confidence, ``gap`` what it is off."""
    mass, sums = _sums(place, gap, sampled)
    return float(np.abs(np.diff(np.interp(np.linspace(0, mass[-1], bins + 1), mass, sums))).sum() / mass[-1])


def _sums(place: np.ndarray, weights: np.ndarray, sampled: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(rows, weights) up to each rank, 0 first: bins are cut out of these by interpolation."""
    if sampled is not None:
        place, weights = place[sampled], weights[sampled]
    counts, sums = np.bincount(place), np.bincount(place, weights)
    return np.concatenate(([0], np.cumsum(counts))), np.concatenate(([0.0], np.cumsum(sums)))
