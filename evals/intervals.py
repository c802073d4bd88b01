"""Confidence intervals, by default of 95 %, computed by SciPy: of a share of rows, and of a mean."""

from collections.abc import Sequence
from statistics import fmean

#: (low, high)
Interval = tuple[float, float]
LEVEL = 0.95


def wilson(successes: int, trials: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval of ``successes / trials`` (Wilson, JASA 22, 1927), without a correction for continuity.

    It keeps its level with few trials and for shares of 0 or 1.

    Raises:
        ValueError: fewer than one trial, or more successes than trials.
    """
    from scipy.stats import binomtest

    found = binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def student_t(values: Sequence[float]) -> Interval:
    """Interval of the mean of two or more independent values, by Student's t with n - 1 degrees of freedom."""
    from scipy.stats import sem, t

    mean, half = fmean(values), float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * sem(values))
    return mean - half, mean + half
