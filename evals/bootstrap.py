"""The studentised bootstrap of a function of sums over rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evals.intervals import Interval

#: From sums over rows ``[..., k]`` to a quantity ``[...]``.
OfSums = Callable[[np.ndarray], np.ndarray]
RESAMPLES = 2000
#: Of a sum, to either side, for slopes.
STEP = 1e-4
#: A resample whose standard error is a smaller share of that of all rows consists of nearly equal rows.
LEAST_ERROR = 1e-3
#: Fewer rows than this say too little about the shape of a distribution for a bootstrap.
LEAST_ROWS = 8


@dataclass(frozen=True)
class Bootstrapped:
    """By the studentised bootstrap (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 5.2.1).

    ``error`` is the standard error of ``value``; ``deviations``, ascending, are the resamples' own differences from
    ``value``, each over its own standard error. An end is that of Student's t with ``freedom`` degrees where this lies
    further out: by itself the bootstrap of few rows holds the truth too seldom (``benchmarks/false_alarms.py``).
    """

    value: float
    error: float
    deviations: np.ndarray
    freedom: float
    method: str = "studentised bootstrap"

    def interval(self, tail: float) -> Interval:
        """Both ends, from quantiles of the deviations and of Student's t."""
        from scipy.stats import t

        if tail < 1 / len(self.deviations):
            return -math.inf, math.inf
        low, high = np.quantile(self.deviations, [tail, 1 - tail])
        least = float(t.ppf(1 - tail, self.freedom))
        return float(self.value - max(high, least) * self.error), float(self.value - min(low, -least) * self.error)

    def p_above(self, bound: float) -> float:
        """The share of deviations that are at least as large as that from ``bound``; or Student's p, if larger."""
        return self._floor(1 - self._rank(bound), -1, bound)

    def p_below(self, bound: float) -> float:
        """The share of deviations that are at most as large as that from ``bound``; or Student's p, if larger."""
        return self._floor(self._rank(bound), 1, bound)

    def _rank(self, bound: float) -> float:
        """The inverse of ``np.quantile`` at the deviation of the value from ``bound``."""
        ranks = np.linspace(0, 1, len(self.deviations))
        return float(np.interp((self.value - bound) / self.error, self.deviations, ranks))

    def _floor(self, p: float, sign: int, bound: float) -> float:
        from scipy.stats import t

        students = float(t.cdf(sign * (self.value - bound) / self.error, self.freedom))
        return max(p, students, 1 / len(self.deviations))


def bootstrap(rows: np.ndarray, of_sums: OfSums, seed: int = 0, freedom: float | None = None) -> Bootstrapped | None:
    """A quantity that is a function of sums over rows, which are resampled.

    Args:
        rows: statistics ``[n, k]``.
        seed: of the resamples.
        freedom: degrees of freedom of the standard error; None for n - 1.

    Returns:
        None for fewer than ``LEAST_ROWS`` rows, or where no resample has a spread.
    """
    n = len(rows)
    if n < LEAST_ROWS:
        return None
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
    (value,), (error,) = with_standard_error(np.ones((1, n)), rows, of_sums)
    resampled, errors = with_standard_error(counts, rows, of_sums)
    return from_resamples(float(value), float(error), resampled, errors, freedom or n - 1)


def from_resamples(
    value: float,
    error: float,
    resampled: np.ndarray,
    errors: np.ndarray,
    freedom: float,
    method: str = Bootstrapped.method,
) -> Bootstrapped | None:
    """The estimate from its resamples and their standard errors; None where there is no spread."""
    usable = np.isfinite(resampled) & (errors > LEAST_ERROR * error)
    if not (math.isfinite(value) and error > 0 and usable.any()):
        return None
    return Bootstrapped(value, error, np.sort((resampled[usable] - value) / errors[usable]), freedom, method)


def with_standard_error(counts: np.ndarray, rows: np.ndarray, of_sums: OfSums) -> tuple[np.ndarray, np.ndarray]:
    """A function of sums for each resample, and its standard error by the delta method.

    Args:
        counts: how often each row is in each resample, ``[resamples, n]``.
        rows: statistics ``[n, k]``.
    """
    (n, k), sums = rows.shape, counts @ rows
    slopes = _slopes(sums, rows, of_sums)
    products = (counts @ (rows[:, :, None] * rows[:, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    covariance = (products - sums[:, :, None] * sums[:, None, :] / n) * n / (n - 1)
    variance = np.einsum("bi,bij,bj->b", slopes, covariance, slopes)
    return of_sums(sums), np.sqrt(np.maximum(variance, 0.0))


def influences(rows: np.ndarray, of_sums: OfSums) -> np.ndarray:
    """How much each row moves a function of the sums, to first order, less the mean: ``[n]``."""
    moved = rows @ _slopes(rows.sum(0), rows, of_sums)
    return moved - moved.mean()


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """That of two quantities from the influences of the same rows on each; 0 where a quantity does not vary."""
    spread = math.sqrt(float((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / spread if spread > 0 else 0.0


def satterthwaite(influence: np.ndarray) -> float:
    """Degrees of freedom of the standard error: n - 1, or fewer where a few rows make most of it; at least 2.

    Those of a chi-squared variable with the variance that the rows' kurtosis gives to their variance (Satterthwaite, An
    Approximate Distribution of Estimates of Variance Components, Biometrics Bulletin 2, 1946).

    Args:
        influence: ``[n]``, not all 0.
    """
    n = len(influence)
    if n < 4:  # no unbiased kurtosis
        return min(n - 1, 2.0)
    excess = float((influence**4).mean() / (influence**2).mean() ** 2) - 3
    unbiased = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)  # few rows show too little of a heavy tail
    return min(n - 1, max(2.0, 2 * n / max(unbiased + 2 + 2 / (n - 1), 2.0)))


def _slopes(sums: np.ndarray, rows: np.ndarray, of_sums: OfSums) -> np.ndarray:
    """The derivatives ``[..., k]`` of a function at ``sums`` ``[..., k]``, by central differences."""
    steps = np.diag(np.maximum(np.abs(rows).sum(0), 1e-9) * STEP)
    return np.stack([(of_sums(sums + step) - of_sums(sums - step)) / (2 * step.max()) for step in steps], axis=-1)
