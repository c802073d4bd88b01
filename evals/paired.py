"""How much two models differ on the same rows: the difference of a metric with its 95 % interval.

A metric is given by statistics of each row, ``[rows, k]``, and a function of their sums over rows: a share is the sum
of hits over the number of rows, chrF a function of summed n-gram counts. Rows are resampled in pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.bootstrap import LEAST_ROWS, OfSums, bootstrap, correlation
from evals.estimates import Constant, Estimate, Joined, ShareLessConstant
from evals.intervals import LEVEL, Interval, wilson
from evals.paired_bounded import CompareBounded, of_equal_rows
from evals.paired_shares import PairedShares

#: What compares two models: from the statistics of both, ``[rows, k]``, and a seed, to (value of the first, value of
#: the second, the estimate of the change, None where there are too few rows for one); None where a value is undefined.
Compare = Callable[[np.ndarray, np.ndarray, int], tuple[float, float, Estimate | None] | None]


@dataclass(frozen=True)
class Difference:
    """A metric of two models on the same ``n`` rows: ``change`` is the second's value less the first's.

    ``low`` and ``high`` are the ends of the change's 95 % interval, None where so few rows give none. ``method`` names
    how it was computed.
    """

    n: int
    before: float
    after: float
    change: float
    low: float | None
    high: float | None
    method: str

    @property
    def is_increase(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_decrease(self) -> bool:
        """Whether the interval lies below 0."""
        return self.high is not None and self.high < 0

    @property
    def more_rows(self) -> int:
        """How many more rows like these would give an interval that ends at 0, were the change as large as it seems."""
        return self.more(self.n)

    def more(self, number: int) -> int:
        """How many more of ``number`` rows, or of seeds with more rows in proportion, would do that."""
        if self.low is None or self.high is None or not self.low <= 0 <= self.high or self.change == 0:
            return 0
        half = self.change - self.low if self.change > 0 else self.high - self.change
        return math.ceil(number * (half / self.change) ** 2) - number

    def text(self, form: str = ".3f") -> str:
        """``+1.2 (-0.3 to +2.7)``: the change and its interval, numbers by the format specification ``form``."""
        if self.low is None or self.high is None:
            return f"{self.change:+{form}} (too few rows for an interval)"
        return f"{self.change:+{form}} ({self.low:+{form}} to {self.high:+{form}})"


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first sum over the second; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] == 0, np.nan, sums[..., 0] / sums[..., 1])


def difference(
    before: np.ndarray, after: np.ndarray, of_sums: OfSums = ratio, seed: int = 0, compare: Compare | None = None
) -> Difference | None:
    """The difference of a metric between two models, from the statistics ``[rows, k]`` of each on the same rows.

    ``estimate`` says how. Rows that are unknown (NaN) to either model are left out.

    Args:
        seed: of the bootstrap.
        compare: for a metric that is no function of sums.

    Returns:
        None where the metric is undefined for either model.

    Raises:
        ValueError: the two have different shapes.
    """
    if before.shape != after.shape:
        raise ValueError(f"statistics of {before.shape} and {after.shape} are not of the same rows")
    before, after = known_rows(before, after)
    n = len(before)
    compared = compare(before, after, seed) if compare else _compare_sums(before, after, of_sums, seed)
    if compared is None:
        return None
    first, second, found = compared
    if found is None:
        return Difference(n, first, second, second - first, None, None, "too few rows for an interval")
    low, high = found.interval((1 - LEVEL) / 2)
    return Difference(n, first, second, second - first, low, high, found.method)


def known_rows(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of both without those in which either has a NaN."""
    is_known = ~(np.isnan(before).any(axis=1) | np.isnan(after).any(axis=1))
    return before[is_known], after[is_known]


def _compare_sums(
    before: np.ndarray, after: np.ndarray, of_sums: OfSums, seed: int
) -> tuple[float, float, Estimate | None] | None:
    if not len(before):
        return None
    first, second = (float(of_sums(each.sum(0))) for each in (before, after))
    if not (math.isfinite(first) and math.isfinite(second)):
        return None
    return first, second, estimate(before, after, of_sums, seed)


def estimate(before: np.ndarray, after: np.ndarray, of_sums: OfSums = ratio, seed: int = 0) -> Estimate | None:
    """The change of a metric, from the statistics ``[rows, k]`` of both models on the same rows.

    Shares (k = 2, hits of 0 or 1 and ones) get Tango's interval for paired proportions, which holds for few rows and
    for shares of 0 and 1; shares of some rows (hits among those with a second 1, such as those answered) and other
    ratios of small counts, such as F1, Wilson's of both, joined; a share after half a hit in every row, as guessing
    has, Wilson's; all others the studentised bootstrap, in which a row is drawn with both models' statistics. None for
    too few rows for that.
    """
    if of_sums is ratio and is_share(before) and is_share(after):
        return PairedShares.of(before[:, 0] == 1, after[:, 0] == 1)
    if of_sums is ratio and is_guessing(before) and is_share(after):
        return ShareLessConstant(int(after[:, 0].sum()), len(after), 0.5)
    if of_sums is ratio and is_share_of_some(before) and is_share_of_some(after):
        return _shares_of_some(before, after)
    if of_sums is ratio and is_count_ratio(before) and is_count_ratio(after):
        compared = CompareBounded(ratio)(before, after)
        return compared and compared[2]
    if len(before) >= LEAST_ROWS and (before == after).all():
        return Constant(0.0)
    k = before.shape[1]
    both = np.concatenate([after, before], axis=1).astype(float)

    def change(sums: np.ndarray) -> np.ndarray:
        return of_sums(sums[..., :k]) - of_sums(sums[..., k:])

    found = bootstrap(both, change, seed)
    if found is None and len(before) >= LEAST_ROWS:
        return Constant(float(change(both.sum(0))))  # no resample has a spread
    return found


def is_share(statistics: np.ndarray) -> bool:
    """Whether the statistics are those of a share of rows: hits of 0 or 1, and ones."""
    return statistics.shape[1] == 2 and bool((statistics[:, 1] == 1).all() and np.isin(statistics[:, 0], (0, 1)).all())


def is_guessing(statistics: np.ndarray) -> bool:
    """Whether every row is half a hit."""
    return statistics.shape[1] == 2 and len(statistics) > 0 and bool((statistics == (0.5, 1.0)).all())


def is_share_of_some(statistics: np.ndarray) -> bool:
    """Whether they are those of a share of some rows: hits of 0 or 1, each among the rows with a second 1."""
    return statistics.shape[1] == 2 and bool(
        np.isin(statistics, (0, 1)).all() and (statistics[:, 0] <= statistics[:, 1]).all()
    )


def is_count_ratio(statistics: np.ndarray) -> bool:
    """Whether they are those of a ratio of counts such as F1: each 0, 1 or 2, the first at most the second."""
    return statistics.shape[1] == 2 and bool(
        np.isin(statistics, (0, 1, 2)).all() and (statistics[:, 0] <= statistics[:, 1]).all()
    )


def _shares_of_some(before: np.ndarray, after: np.ndarray) -> Joined:
    """Wilson's intervals of both shares, joined; the correlation is that of the linearised ratios."""
    counts = [tuple(map(int, rows.sum(0))) for rows in (before, after)]
    (first, second) = (hits / counted for hits, counted in counts)

    def ends(tail: float) -> tuple[Interval, Interval]:
        found = [wilson(hits, counted, 1 - 2 * tail) for hits, counted in counts]
        return found[0], found[1]

    residuals = [rows[:, 0] - share * rows[:, 1] for rows, share in ((before, first), (after, second))]
    are_equal = (before == after).all()
    joint = of_equal_rows(first, counts[0][1]) if are_equal else correlation(residuals[0], residuals[1])
    return Joined(second - first, (first, second), ends, joint, "Wilson's intervals, joined")
