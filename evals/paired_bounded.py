"""How much two models differ on the same rows in a metric between 0 and 1, such as F1 or the Brier score.

Each model's value has the interval of a share of so many rows as would have its standard error (Korn and Graubard,
Confidence Intervals for Proportions with Small Expected Number of Positive Counts Estimated from Survey Data, Survey
Methodology 24, 1998); both are joined with the correlation of the two. A bootstrap of few rows holds the truth too
seldom here: it knows nothing of the rare rows that are far off, nor of rows in which the models differ when they differ
in none (``benchmarks/false_alarms.py``).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from evals.bootstrap import LEAST_ROWS, OfSums, correlation, influences, satterthwaite
from evals.estimates import ByInversion, Constant, Estimate, Joined
from evals.intervals import Interval, wilson

METHOD = "intervals of effective sample size, joined"


@dataclass(frozen=True)
class Bounded(ByInversion):
    """A value between 0 and 1 with the standard error of a share of ``rows`` rows, which has ``freedom`` degrees.

    ``is_exact`` takes Clopper and Pearson's interval, else it is Wilson's. Both are of ``rows`` times the squared ratio
    of the normal quantile to that of Student's t.
    """

    value: float
    rows: float
    freedom: float
    is_exact: bool
    method: str = "interval of effective sample size"

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        from scipy.stats import beta, t

        if tail >= 0.5 or math.isinf(self.rows):
            return self.value, self.value
        rows = self.rows * (NormalDist().inv_cdf(1 - tail) / float(t.ppf(1 - tail, self.freedom))) ** 2
        hits = self.value * rows
        if not self.is_exact:
            return wilson(hits, rows, 1 - 2 * tail)
        low = float(beta.ppf(tail, hits, rows - hits + 1)) if self.value > 0 else 0.0
        return low, float(beta.ppf(1 - tail, hits + 1, rows - hits)) if self.value < 1 else 1.0


@dataclass(frozen=True)
class CompareBounded:
    """``evals.paired.Compare`` of a metric between 0 and 1 that is a function of sums over rows.

    ``is_continuous``: rows have values of any size, such as squared errors, and not counts of 0, 1 and 2. Then the
    intervals are Clopper and Pearson's, with degrees of freedom by ``satterthwaite``. ``most`` bounds the effective
    size, as a multiple of the number of rows: few rows of means over several models' hits show too small a spread.
    """

    of_sums: OfSums
    is_continuous: bool = False
    most: float = math.inf

    def __call__(
        self, before: np.ndarray, after: np.ndarray, seed: int = 0
    ) -> tuple[float, float, Estimate | None] | None:
        """Both values, and the estimate of the change: None for fewer than ``LEAST_ROWS`` rows."""
        if not len(before):
            return None
        first, second = (float(self.of_sums(each.sum(0))) for each in (before, after))
        if not (math.isfinite(first) and math.isfinite(second)):
            return None
        if len(before) < LEAST_ROWS:
            return first, second, None
        are_equal = bool((before == after).all())
        if are_equal and self.is_continuous:
            return first, second, Constant(0.0)
        found = [influences(each.astype(float), self.of_sums) for each in (before, after)]
        sides = [self._side(value, each) for value, each in zip((first, second), found, strict=True)]
        joint = of_equal_rows(first, len(before)) if are_equal else correlation(found[0], found[1])

        def ends(tail: float) -> tuple[Interval, Interval]:
            return sides[0].interval(tail), sides[1].interval(tail)

        return first, second, Joined(second - first, (first, second), ends, joint, METHOD)

    def level(self, rows: np.ndarray) -> Bounded | None:
        """The metric of one model; None for fewer than ``LEAST_ROWS`` rows."""
        value = float(self.of_sums(rows.sum(0)))
        return self._side(value, influences(rows.astype(float), self.of_sums)) if len(rows) >= LEAST_ROWS else None

    def _side(self, value: float, influence: np.ndarray) -> Bounded:
        n, variance = len(influence), float((influence**2).mean())
        if variance <= 0:
            return Bounded(value, math.inf if self.is_continuous else n, n - 1, self.is_continuous)
        error = variance * n * n / (n - 1)
        rows = value * (1 - value) / error if 0 < value < 1 else n
        rows = min(rows, self.most * n)
        freedom = satterthwaite(influence) if self.is_continuous else n - 1
        return Bounded(value, rows, freedom, self.is_continuous)


def of_equal_rows(value: float, n: int) -> float:
    """The correlation that Newcombe's method gives to a share that is right on the same rows in both models."""
    spread = value * (1 - value)
    return max(0.0, 1 - 1 / (2 * n * spread)) if spread > 0 else 0.0
