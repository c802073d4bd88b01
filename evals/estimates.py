"""A quantity estimated from rows, with its interval at any level, and one-sided p-values that agree with it.

A p-value here is the tail at which an end of the interval meets the bound, so test and interval never differ.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from evals.intervals import Interval, wilson

#: Stands for 0 where a logarithm is taken.
LEAST = 1e-300
#: Points of an ellipse among which its extremes are searched.
POINTS = 721


class Estimate(Protocol):
    """A quantity with its value in the rows at hand."""

    @property
    def value(self) -> float:
        """The value in these rows."""
        ...

    @property
    def method(self) -> str:
        """How intervals and p-values are computed."""
        ...

    def interval(self, tail: float) -> Interval:
        """Both ends, each exceeded with the probability ``tail``; infinite where so small a tail is not known."""
        ...

    def p_above(self, bound: float) -> float:
        """One-sided p of the hypothesis that the quantity is at most ``bound``: small where it is larger."""
        ...

    def p_below(self, bound: float) -> float:
        """The same of the hypothesis that it is at least ``bound``: small where it is smaller."""
        ...


@dataclass(frozen=True)
class Constant:
    """A value that is the same in every row, so that no spread is seen."""

    value: float
    method: str = "every row is the same"

    def interval(self, tail: float) -> Interval:
        """The value itself."""
        return self.value, self.value

    def p_above(self, bound: float) -> float:
        """0 or 1."""
        return float(self.value <= bound)

    def p_below(self, bound: float) -> float:
        """0 or 1."""
        return float(self.value >= bound)


@dataclass(frozen=True)
class Share:
    """A share of rows: exact binomial test, and Clopper and Pearson's interval (Biometrika 26, 1934)."""

    hits: int
    n: int
    method: str = "exact binomial"

    @property
    def value(self) -> float:
        """Hits over rows."""
        return self.hits / self.n

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        from scipy.stats import binomtest

        found = binomtest(self.hits, self.n).proportion_ci(1 - 2 * tail, method="exact")
        return float(found.low), float(found.high)

    def p_above(self, bound: float) -> float:
        """The probability of as many hits or more, were the share ``bound``."""
        return self._p(bound, "greater")

    def p_below(self, bound: float) -> float:
        """The probability of as few hits or fewer, were the share ``bound``."""
        return self._p(bound, "less")

    def _p(self, bound: float, side: str) -> float:
        from scipy.stats import binomtest

        return float(binomtest(self.hits, self.n, min(max(bound, 0.0), 1.0), side).pvalue)


class ByInversion:
    """P-values of an estimate that has an interval at any level: the tail at which an end of it meets the bound."""

    def p_above(self: "Estimate", bound: float) -> float:
        """The tail at which the lower end is ``bound``; above a half where the value is below it."""
        if self.value > bound:
            return _tail(lambda tail: self.interval(tail)[0] - bound)
        return 1 - _tail(lambda tail: bound - self.interval(tail)[1])

    def p_below(self: "Estimate", bound: float) -> float:
        """The tail at which the upper end is ``bound``; above a half where the value is above it."""
        if self.value < bound:
            return _tail(lambda tail: bound - self.interval(tail)[1])
        return 1 - _tail(lambda tail: self.interval(tail)[0] - bound)


@dataclass(frozen=True)
class Joined(ByInversion):
    """The second less the first of two quantities, from an interval of each: by squaring and adding.

    (Zou and Donner, Construction of Confidence Limits About Effect Measures, Statistics in Medicine 27, 2008.)
    ``centres`` are those that the intervals lie around, ``correlation`` that of their estimates. The interval is
    widened to hold ``value``, where that is another, and cut at ``bounds``.
    """

    value: float
    centres: tuple[float, float]
    ends: Callable[[float], tuple[Interval, Interval]]
    correlation: float
    method: str
    bounds: Interval = (-1.0, 1.0)

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        low, high = joined(self.centres, self.ends(tail), self.correlation)
        return max(self.bounds[0], min(low, self.value)), min(self.bounds[1], max(high, self.value))


def joined(centres: tuple[float, float], ends: tuple[Interval, Interval], correlation: float) -> Interval:
    """Ends of the interval of the second less the first."""
    (q, p), ((q_low, q_high), (p_low, p_high)) = centres, ends
    below, above, q_below, q_above = p - p_low, p_high - p, q - q_low, q_high - q
    low = math.sqrt(max(0.0, below**2 - 2 * correlation * below * q_above + q_above**2))
    high = math.sqrt(max(0.0, above**2 - 2 * correlation * above * q_below + q_below**2))
    return p - q - low, p - q + high


@dataclass(frozen=True)
class OfLogits(ByInversion):
    """The second less the first of two values between 0 and 1 whose logits are taken for jointly normal.

    An end is the least or largest difference among all pairs of values whose logits are as far from these as the
    quantile of the tail, in standard errors: a profile likelihood interval (Venzon and Moolgavkar, A Method for
    Computing Profile-Likelihood-Based Confidence Intervals, Applied Statistics 37, 1988) with a normal likelihood.

    ``values`` exclude 0 and 1, ``covariance`` is that of their logits, ``[2, 2]``, and ``freedom`` are the degrees of
    freedom with which it was estimated: the quantile is that of Student's t. ``is_ratio`` takes the logarithm of the
    second over the first instead of the difference.
    """

    values: np.ndarray
    covariance: np.ndarray
    freedom: float
    method: str
    is_ratio: bool = False

    @property
    def value(self) -> float:
        """The difference, or the logarithm of the ratio."""
        return float(self._of(*self.values))

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        from scipy.stats import t

        if tail >= 0.5:
            return self.value, self.value
        angles = np.linspace(0, 2 * math.pi, POINTS)
        variances, axes = np.linalg.eigh(self.covariance)
        ellipse = axes * np.sqrt(np.maximum(variances, 0)) @ np.stack([np.cos(angles), np.sin(angles)])
        logits = np.log(self.values / (1 - self.values))[:, None] + float(t.ppf(1 - tail, self.freedom)) * ellipse
        found = self._of(*(1 / (1 + np.exp(-logits))))
        return float(found.min()), float(found.max())

    def _of(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.log(second / first) if self.is_ratio else second - first


@dataclass(frozen=True)
class ShareLessConstant(ByInversion):
    """A share of rows less a constant that is known exactly, such as the share that guessing has: Wilson's interval."""

    hits: int
    n: int
    constant: float
    method: str = "Wilson's interval, less a constant"

    @property
    def value(self) -> float:
        """The share less the constant."""
        return self.hits / self.n - self.constant

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        low, high = wilson(self.hits, self.n, 1 - 2 * tail)
        return low - self.constant, high - self.constant


@dataclass(frozen=True)
class Relative:
    """The relative change after / before - 1, from an estimate of log(after / before)."""

    logarithm: Estimate

    @property
    def value(self) -> float:
        """The change over the first value."""
        return math.expm1(self.logarithm.value)

    @property
    def method(self) -> str:
        """That of the logarithm."""
        return self.logarithm.method

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        low, high = self.logarithm.interval(tail)
        return math.expm1(low), math.expm1(high) if high < math.inf else math.inf

    def p_above(self, bound: float) -> float:
        """One-sided p."""
        return self.logarithm.p_above(_log1p(bound))

    def p_below(self, bound: float) -> float:
        """One-sided p."""
        return self.logarithm.p_below(_log1p(bound))


def relative(before: float, after: float, change: Estimate | None) -> Estimate | None:
    """The relative change of a value, from the estimate of its change: that of the logarithms of both instead.

    None where the change was found in another way, and where a value or the centre of its interval is 0.
    """
    if isinstance(change, Constant):
        return change
    if isinstance(change, OfLogits):
        return Relative(replace(change, is_ratio=True))
    if not isinstance(change, Joined) or min(before, after, *change.centres) <= 0:
        return None

    def ends(tail: float) -> tuple[Interval, Interval]:
        (q_low, q_high), (p_low, p_high) = change.ends(tail)
        return (_log(q_low), _log(q_high)), (_log(p_low), _log(p_high))

    centres = math.log(change.centres[0]), math.log(change.centres[1])
    unbounded = (-math.inf, math.inf)
    return Relative(Joined(math.log(after / before), centres, ends, change.correlation, change.method, unbounded))


def _log(value: float) -> float:
    return math.log(max(value, LEAST))


def _log1p(change: float) -> float:
    return math.log1p(change) if change > -1 else -math.inf


def _tail(excess: Callable[[float], float], least: float = 1e-12) -> float:
    """The tail up to a half at which ``excess``, which grows with it, is 0; at least ``least``."""
    if excess(least) >= 0:
        return least
    return _root(excess, least, 0.5) if excess(0.5) > 0 else 0.5


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    from scipy.optimize import brentq

    return float(brentq(function, low, high))  # type: ignore[arg-type]  (SciPy's stubs: or a pair)
