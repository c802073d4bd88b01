"""How much the AUC of two models differs on the same rows, with its 95 % interval.

Both AUCs have DeLong's covariance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), taken to the logit scale,
on which an AUC near 1 is nearer to normal (``evals.estimates.OfLogits``), with Student's t of two groups as large as
the smaller class. Unlike DeLong's own interval of the difference this keeps its level there. An AUC of 0 or 1 has no
logit: then each AUC's interval is joined with the other's (Zou and Yue, Using Confidence Intervals to Compare Several
Correlated Areas under the Receiver Operating Characteristic Curves, Statistics in Medicine 32, 2013).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evals.bootstrap import LEAST_ROWS
from evals.estimates import ByInversion, Constant, Estimate, Joined, OfLogits
from evals.intervals import Interval


def compare_auc(before: np.ndarray, after: np.ndarray, seed: int = 0) -> tuple[float, float, Estimate | None] | None:
    """Both AUCs and the estimate of their difference, from (true label, probability of label 1) on the same rows.

    Args:
        before, after: ``[rows, 2]``.
        seed: not used: nothing is resampled.

    Returns:
        None where there is only one class; no estimate for fewer than 8 rows or one row of a class.
    """
    is_positive = before[:, 0] == 1
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not (positives and negatives):
        return None
    found, covariance = delong(is_positive, np.stack([before[:, 1], after[:, 1]]))
    first, second = map(float, found)
    if len(before) < LEAST_ROWS or min(positives, negatives) < 2:
        return first, second, None
    if (before == after).all():
        return first, second, Constant(0.0)
    if found.min() > 0 and found.max() < 1:
        slopes = 1 / (found * (1 - found))
        of_logits = covariance * np.outer(slopes, slopes)
        freedom = 2 * min(positives, negatives) - 2
        return first, second, OfLogits(found, of_logits, freedom, "DeLong's covariance, logit scale")
    return first, second, _joined((first, second), covariance, positives, negatives)


def _joined(values: tuple[float, float], covariance: np.ndarray, positives: int, negatives: int) -> Joined:
    """The change where an AUC is 0 or 1."""

    def ends(tail: float) -> tuple[Interval, Interval]:
        first, second = (
            _interval(value, float(variance), positives, negatives, tail)
            for value, variance in zip(values, np.diag(covariance), strict=True)
        )
        return first, second

    spread = math.sqrt(covariance[0, 0] * covariance[1, 1])
    correlation = float(covariance[0, 1] / spread) if spread > 0 else 0.0
    return Joined(values[1] - values[0], values, ends, correlation, "DeLong's variances, logit scale, joined")


@dataclass(frozen=True)
class AreaUnderCurve(ByInversion):
    """The AUC of one model with DeLong's ``variance``, and how many rows have label 1 and label 0."""

    value: float
    variance: float
    positives: int
    negatives: int
    method: str = "DeLong's variance, logit scale"

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        if tail >= 0.5:
            return self.value, self.value
        return _interval(self.value, self.variance, self.positives, self.negatives, tail)


def estimate_auc(rows: np.ndarray, seed: int = 0) -> AreaUnderCurve | None:
    """The AUC of one model, from (true label, probability of label 1); None where ``compare_auc`` has no estimate.

    Args:
        rows: ``[rows, 2]``.
        seed: not used: nothing is resampled.
    """
    is_positive = rows[:, 0] == 1
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if len(rows) < LEAST_ROWS or min(positives, negatives) < 2:
        return None
    (value,), ((variance,),) = delong(is_positive, rows[None, :, 1])
    return AreaUnderCurve(float(value), float(variance), positives, negatives)


def delong(is_positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(AUC of each model, their covariance matrix), by midranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014).

    Args:
        is_positive: ``[rows]``, booleans.
        scores: ``[models, rows]``.
    """
    from scipy.stats import rankdata

    positive, negative = scores[:, is_positive], scores[:, ~is_positive]
    m, n = positive.shape[1], negative.shape[1]
    ranks = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    of_positive = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    of_negative = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    if min(m, n) < 2:
        return of_positive.mean(1), np.zeros((len(scores), len(scores)))
    return of_positive.mean(1), np.atleast_2d(np.cov(of_positive) / m + np.cov(of_negative) / n)


def _interval(auc: float, variance: float, positives: int, negatives: int, tail: float) -> Interval:
    """Of one AUC; of width 0 where every row has the same score, which is no estimate but always 0.5."""
    z = NormalDist().inv_cdf(1 - tail)
    if auc in (0.0, 1.0):
        low = _least_at_one(positives, negatives, z)
        return (low, 1.0) if auc else (0.0, 1 - low)
    if variance <= 0:
        return auc, auc
    centre, half = math.log(auc / (1 - auc)), z * math.sqrt(variance) / (auc * (1 - auc))
    return 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))


def _least_at_one(positives: int, negatives: int, z: float) -> float:
    """Lower end for an AUC of 1, whose estimated variance is 0: the AUC from which 1 is z standard errors away.

    The standard error is that of two exponential distributions with this AUC (Newcombe, Confidence Intervals for an
    Effect Size Measure Based on the Mann-Whitney Statistic, part 2, Statistics in Medicine 25, 2006, method 5).
    """
    from scipy.optimize import brentq

    half = (positives + negatives) / 2 - 1

    def beyond(auc: float) -> float:
        spread = 1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc)
        return (1 - auc) - z**2 * auc * spread / (positives * negatives)

    return float(brentq(beyond, 0.0, 1.0))  # type: ignore[arg-type]  (SciPy's stubs: or a pair)
