"""Confidence intervals, by default of 95 %: of a share of rows, and of a mean."""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

#: (low, high)
Interval = tuple[float, float]
LEVEL = 0.95


def wilson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of ``successes / trials`` (Wilson, JASA 22, 1927), without a correction for continuity.

    It keeps its level with few trials and for shares of 0 or 1. Computed here in microseconds, where SciPy takes 200,
    because p-values by inversion need it many times. Both numbers may be fractions, as those of weighted rows are.

    Raises:
        ValueError: no trial, or more successes than trials.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"{successes} successes of {trials} trials")
    z, share = NormalDist().inv_cdf((1 + level) / 2), successes / trials
    centre, half = share + z * z / (2 * trials), z * math.sqrt((share * (1 - share) + z * z / (4 * trials)) / trials)
    low, high = ((centre + side) / (1 + z * z / trials) for side in (-half, half))
    return (max(0.0, low) if successes else 0.0), (min(1.0, high) if successes < trials else 1.0)


def student_t(values: Sequence[float]) -> Interval:
    """Interval of the mean of two or more independent values, by Student's t with n - 1 degrees of freedom."""
    from scipy.stats import sem, t

    mean, half = fmean(values), float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * sem(values))
    return mean - half, mean + half
