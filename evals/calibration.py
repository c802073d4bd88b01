"""Whether a model is as sure as it is right: Brier score, expected calibration error, the bins of a diagram.

Confidence is the probability of the likelier label, max(p, 1 - p), so .5 to 1.

ECE is the mean over bins of |mean confidence - accuracy|, weighted by rows (Guo et al. 2017, On Calibration of Modern
Neural Networks, arXiv:1706.04599, with its M = 15). Our bins are of equal mass: they hold equally many rows, not equal
widths of confidence, with which almost all rows of a sure model fall into one bin (Nixon et al. 2019, Measuring
Calibration in Deep Learning, arXiv:1904.01685, sections 3 and 4). The ECE of equal widths is given beside it
(``ece_equal_width``). Rows of equal confidence that lie across a border are divided in proportion, so the order of the
rows never matters.

ECE is never below 0, so chance alone lifts it: a perfectly calibrated model on few rows does not show 0. Hence
``ece_if_calibrated``, the mean that such a model would show with the same confidences (resampled labels, after
Broecker and Smith 2007, Increasing the Reliability of Reliability Diagrams), and an interval that allows for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evals.bootstrap import LEAST_ROWS, correlation
from evals.estimates import ByInversion, Constant, Estimate, Joined
from evals.intervals import LEVEL, Interval

BINS = 15
RESAMPLES = 400
#: From confidences and a number of bins to the share of each row that is in each bin, ``[bins, rows]``.
Binning = Callable[[np.ndarray, int], np.ndarray]
#: Degrees of miscalibration that an interval is searched among, and the largest as a multiple of the gaps seen.
DEGREES, MOST_TIMES = 31, 4.0


@dataclass(frozen=True)
class Calibration:
    """All None where there are no rows with a probability."""

    brier: float | None = None
    ece: float | None = None
    ece_interval: Interval | None = None
    ece_if_calibrated: float | None = None
    ece_equal_width: float | None = None
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
    width = ece(confidence, right, binning=equal_width)
    return Calibration(brier, value, interval, calibrated, width, float(confidence.mean()))


def equal_mass(confidence: np.ndarray, bins: int) -> np.ndarray:
    """``bins`` bins of equally many rows: rows of equal confidence are divided alike."""
    _, place, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    edges = np.linspace(0, len(confidence), bins + 1)[:, None]
    common = np.minimum(ends, edges[1:]) - np.maximum(ends - counts, edges[:-1])
    return (np.maximum(common, 0) / counts)[:, place]


def equal_width(confidence: np.ndarray, bins: int) -> np.ndarray:
    """``bins`` bins of equal width between confidences of 0 and 1, (0, 1/M], (1/M, 2/M] and so on; not empty ones."""
    _, place = np.unique(np.ceil(confidence * bins), return_inverse=True)
    return np.eye(place.max() + 1)[:, place]


def ece(confidence: np.ndarray, right: np.ndarray, bins: int = BINS, binning: Binning = equal_mass) -> float:
    """Expected calibration error of at least one row."""
    return float(np.abs(binning(confidence, bins) @ (confidence - right)).sum() / len(confidence))


def ece_interval(
    confidence: np.ndarray, right: np.ndarray, seed: int, resamples: int = RESAMPLES
) -> tuple[Interval, float]:
    """(95 % interval of the ECE, the mean ECE of a calibrated model with these confidences); see ``EceEstimate``."""
    found = estimate_ece(confidence, right, seed, resamples)
    return found.interval((1 - LEVEL) / 2), found.if_calibrated


def compare_ece(
    before: np.ndarray, after: np.ndarray, seed: int = 0, binning: Binning = equal_mass
) -> tuple[float, float, Estimate | None] | None:
    """Both ECEs and the estimate of their difference, from (true label, probability of label 1) on the same rows.

    The intervals of both are joined: around their median-unbiased estimates, or 0 where an interval holds 0, with the
    correlation of both. They are widened to hold the change itself, which is biased where only one of them is
    calibrated.

    Args:
        before, after: ``[rows, 2]``.
        seed: of the simulations.

    Returns:
        None where there are no rows; no estimate for fewer than 8.
    """
    if not len(before):
        return None
    first, second = (estimate_ece(*_confidence(*rows.T), seed, binning=binning) for rows in (before, after))
    found: Estimate | None = None
    if (before == after).all():
        found = Constant(0.0)
    elif len(before) >= LEAST_ROWS:

        def ends(tail: float) -> tuple[Interval, Interval]:
            return first.interval(tail), second.interval(tail)

        centres = first.centre, second.centre
        joint = _joint(first.influence, second.influence)
        found = Joined(second.value - first.value, centres, ends, joint, "intervals of both ECEs, joined")
    return first.value, second.value, found


def ece_of_rows(rows: np.ndarray, seed: int = 0, binning: Binning = equal_mass) -> "EceEstimate | None":
    """The ECE of one model, from (true label, probability of label 1), ``[rows, 2]``; None for fewer than 8 rows."""
    return estimate_ece(*_confidence(*rows.T), seed, binning=binning) if len(rows) >= LEAST_ROWS else None


@dataclass(frozen=True)
class EceEstimate(ByInversion):
    """ECE with intervals by inverting a test.

    Models of several degrees of miscalibration are simulated with the confidences of these rows; a degree is in the
    interval where the ECE that was measured lies between the lowest and highest points of the ECEs that it gives. The
    degrees are multiples of the gaps between confidence and accuracy that the bins show, and a gap common to all rows
    (which few rows may not show); an end is the mean of those of both kinds. A bootstrap over rows, in contrast, lifts
    the ECE once more with each resample, and covers the truth of a calibrated model hardly ever.

    ``families``: for either kind of gap the true ECE of each degree, rising, and the ECEs that it gives,
    ``[degrees, resamples]``. ``if_calibrated`` is the mean of those of degree 0. ``influence``, ``[rows]``: how much
    each row moves the ECE, to first order and without moving the bins, less the mean.
    """

    value: float
    families: tuple[tuple[np.ndarray, np.ndarray], ...]
    influence: np.ndarray
    method: str = "simulated degrees of miscalibration"

    @property
    def if_calibrated(self) -> float:
        """The mean ECE of a calibrated model with these confidences."""
        return float(self.families[0][1][0].mean())

    def interval(self, tail: float) -> Interval:
        """Both ends, each exceeded with the probability ``tail``; the value is always inside."""
        return min(self._inverted(1 - tail), self.value), max(self._inverted(tail), self.value)

    @property
    def centre(self) -> float:
        """The median-unbiased estimate; 0 where the rows don't exclude it."""
        return self._inverted(0.5) if self.interval((1 - LEVEL) / 2)[0] > 0 else 0.0

    def _inverted(self, share: float) -> float:
        """The true ECE with whose ECEs the value has this rank: the mean of both kinds of gaps."""
        return float(np.mean([
            np.interp(self.value, np.maximum.accumulate(np.quantile(given, share, axis=1)), true)
            for true, given in self.families
        ]))  # fmt: skip


def estimate_ece(
    confidence: np.ndarray, right: np.ndarray, seed: int, resamples: int = RESAMPLES, binning: Binning = equal_mass
) -> EceEstimate:
    """The ECE of at least one row, with what its intervals are computed from."""
    n, members = len(confidence), binning(confidence, BINS)
    draws = np.random.default_rng(seed).random((resamples, n), dtype=np.float32)
    of_rows = confidence - right
    of_bins = members @ of_rows
    seen = of_bins / members.sum(1) @ members
    families = []
    for gaps in (seen * MOST_TIMES, np.ones(n)):
        levels = [np.clip(confidence - degree * gaps, 0, 1) for degree in np.linspace(0, 1, DEGREES)]
        true = [np.abs(members @ (confidence - accuracy)).sum() / n for accuracy in levels]
        given = [_simulated(confidence, accuracy, members, draws) for accuracy in levels]
        families.append((np.maximum.accumulate(true), np.stack(given)))
    moved = of_rows * (np.sign(of_bins) @ members)
    return EceEstimate(float(np.abs(of_bins).sum() / n), tuple(families), moved - moved.mean())


def _simulated(confidence: np.ndarray, accuracy: np.ndarray, members: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """ECE of each of the ``draws``, uniform ``[resamples, rows]``: rows are right with chance ``accuracy``."""
    gaps = confidence.astype(np.float32) - (draws < accuracy.astype(np.float32))
    return np.abs(gaps @ members.T.astype(np.float32)).sum(1) / len(confidence)


def _joint(first: np.ndarray, second: np.ndarray) -> float:
    """The correlation of two ECEs by the same rows' influences, one standard error lower on Fisher's scale.

    As it is estimated it makes the interval of ten or twenty rows too narrow (``benchmarks/false_alarms.py``).
    """
    found = np.clip(correlation(first, second), -0.999, 0.999)
    return float(np.tanh(np.arctanh(found) - 1 / np.sqrt(len(first) - 3)))


def reliability_bins(truth: Any, p_positive: Any) -> list[Bin]:
    """The bins that ``ece`` is made of, by rising confidence; none where there are no rows."""
    truth, p_positive = np.asarray(truth), np.asarray(p_positive, dtype=float)
    if not len(p_positive):
        return []
    confidence, right = _confidence(truth, p_positive)
    values, counts = np.unique(confidence, return_counts=True)
    mass = np.concatenate(([0], np.cumsum(counts)))
    edges, rows = np.linspace(0, mass[-1], BINS + 1), mass[-1] / BINS
    means = [equal_mass(confidence, BINS) @ each / rows for each in (confidence, right)]
    lows = np.searchsorted(mass, edges[:-1] + 1e-9, side="right") - 1
    highs = np.searchsorted(mass, edges[1:] - 1e-9, side="left") - 1
    return [
        Bin(float(values[low]), float(values[high]), rows, float(sure_mean), float(accuracy))
        for low, high, sure_mean, accuracy in zip(lows, highs, *means, strict=True)
    ]


def _confidence(truth: np.ndarray, p_positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.maximum(p_positive, 1 - p_positive), (p_positive > 0.5) == (truth == 1)
