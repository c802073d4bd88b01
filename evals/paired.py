"""How much two models differ on the same rows: the difference of a metric with its 95 % interval.

A metric is given by statistics of each row, ``[rows, k]``, and a function of their sums over rows: a share is the sum
of hits over the number of rows, chrF a function of summed n-gram counts. Rows are resampled in pairs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.intervals import LEVEL, wilson

#: From sums over rows ``[..., k]`` to the metric ``[...]``.
OfSums = Callable[[np.ndarray], np.ndarray]
RESAMPLES = 2000
#: Of a sum, to either side, for slopes.
STEP = 1e-4
#: Fewer rows than this say too little about the shape of a distribution for a bootstrap.
LEAST_ROWS = 8


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
        if self.low is None or self.high is None or not self.low <= 0 <= self.high or self.change == 0:
            return 0
        half = self.change - self.low if self.change > 0 else self.high - self.change
        return math.ceil(self.n * (half / self.change) ** 2) - self.n

    def text(self, form: str = ".3f") -> str:
        """``+1.2 (-0.3 to +2.7)``: the change and its interval, numbers by the format specification ``form``."""
        if self.low is None or self.high is None:
            return f"{self.change:+{form}} (too few rows for an interval)"
        return f"{self.change:+{form}} ({self.low:+{form}} to {self.high:+{form}})"


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first sum over the second; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[..., 1] == 0, np.nan, sums[..., 0] / sums[..., 1])


def difference(before: np.ndarray, after: np.ndarray, of_sums: OfSums = ratio, seed: int = 0) -> Difference | None:
    """The difference of a metric between two models, from the statistics ``[rows, k]`` of each on the same rows.

    Shares (k = 2, hits of 0 or 1 and ones) get Newcombe's interval for paired proportions, which holds for few rows
    and for shares of 0 and 1; all others the studentised bootstrap (Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 5.2.1), in which a row is drawn with both models' statistics.

    Args:
        seed: of the bootstrap.

    Returns:
        None where the metric is undefined for either model.

    Raises:
        ValueError: the two have different shapes.
    """
    if before.shape != after.shape:
        raise ValueError(f"statistics of {before.shape} and {after.shape} are not of the same rows")
    n = len(before)
    first, second = (float(of_sums(each.sum(0))) for each in (before, after)) if n else (math.nan, math.nan)
    if not (math.isfinite(first) and math.isfinite(second)):
        return None
    if of_sums is ratio and _is_share(before) and _is_share(after):
        low, high = newcombe(before[:, 0] == 1, after[:, 0] == 1)
        return Difference(n, first, second, second - first, low, high, "Newcombe's paired interval")
    low, high = _bootstrap(before, after, of_sums, seed)
    return Difference(n, first, second, second - first, low, high, "studentised paired bootstrap")


def newcombe(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """95 % interval of the difference of two paired shares (Newcombe, Statistics in Medicine 17, 1998, method 10).

    Wilson's intervals of both shares are joined by squaring and adding, with the correlation of the pairs, for which a
    count of n / 2 is taken off where it is positive.

    Args:
        before, after: hits of both models on the same rows, booleans ``[rows]``.
    """
    n = len(before)
    both, only_after = int((before & after).sum()), int((~before & after).sum())
    only_before = int((before & ~after).sum())
    neither = n - both - only_after - only_before
    p, q = (both + only_after) / n, (both + only_before) / n
    (p_low, p_high), (q_low, q_high) = wilson(both + only_after, n), wilson(both + only_before, n)
    phi = _correlation(both, only_after, only_before, neither)
    below, above = p - p_low, p_high - p
    q_below, q_above = q - q_low, q_high - q
    low = math.sqrt(max(0.0, below**2 - 2 * phi * below * q_above + q_above**2))
    high = math.sqrt(max(0.0, above**2 - 2 * phi * above * q_below + q_below**2))
    return max(-1.0, p - q - low), min(1.0, p - q + high)


def _correlation(both: int, only_after: int, only_before: int, neither: int) -> float:
    n = both + only_after + only_before + neither
    margins = (both + only_after) * (only_before + neither) * (both + only_before) * (only_after + neither)
    if margins == 0:
        return 0.0
    product = both * neither - only_after * only_before
    return (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins)


def _is_share(statistics: np.ndarray) -> bool:
    return statistics.shape[1] == 2 and bool((statistics[:, 1] == 1).all() and np.isin(statistics[:, 0], (0, 1)).all())


def _bootstrap(before: np.ndarray, after: np.ndarray, of_sums: OfSums, seed: int) -> tuple[float | None, float | None]:
    """Ends of the studentised bootstrap's interval; both None for too few rows, or where no resample has a spread."""
    n, k = before.shape
    if n < LEAST_ROWS:
        return None, None
    if (before == after).all():
        return 0.0, 0.0
    rows = np.concatenate([after, before], axis=1).astype(float)

    def change(sums: np.ndarray) -> np.ndarray:
        return of_sums(sums[..., :k]) - of_sums(sums[..., k:])

    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
    (found,), (error,) = _with_standard_error(np.ones((1, n)), rows, change)
    resampled, errors = _with_standard_error(counts, rows, change)
    usable = np.isfinite(resampled) & (errors > 0)
    if not (error > 0 and usable.any()):
        return None, None
    low, high = np.quantile((resampled[usable] - found) / errors[usable], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(found - high * error), float(found - low * error)


def _with_standard_error(counts: np.ndarray, rows: np.ndarray, change: OfSums) -> tuple[np.ndarray, np.ndarray]:
    """``change`` of each resample and its standard error by the delta method.

    Args:
        counts: how often each row is in each resample, ``[resamples, n]``.
        rows: statistics ``[n, k]``.
    """
    (n, k), sums = rows.shape, counts @ rows
    steps = np.diag(np.maximum(np.abs(rows).sum(0), 1e-9) * STEP)
    slopes = np.stack([(change(sums + step) - change(sums - step)) / (2 * step.max()) for step in steps], axis=-1)
    products = (counts @ (rows[:, :, None] * rows[:, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    covariance = (products - sums[:, :, None] * sums[:, None, :] / n) * n / (n - 1)
    variance = np.einsum("bi,bij,bj->b", slopes, covariance, slopes)
    return change(sums), np.sqrt(np.maximum(variance, 0.0))
