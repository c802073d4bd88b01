"""How much a share of rows differs between two models on the same rows: score tests and their intervals.

The test of a change takes the standard error that the rows have under it, with the other chances as likely as can be.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import numpy as np

from evals.intervals import Interval

#: The largest relative change that is looked for, as a multiple of the first value.
MOST_CHANGE = 1e6


class ByScore(ABC):
    """Interval and p-values of an estimate by a score test; ``bounds``: the least and the largest value."""

    bounds: ClassVar[Interval]

    @property
    @abstractmethod
    def value(self) -> float:
        """The value in these rows."""

    @abstractmethod
    def deviation(self, change: float) -> float:
        """How many standard errors the value lies above ``change``, with the standard error that belongs to it."""

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        return _score_interval(self.deviation, self.value, self.bounds, tail)

    def p_above(self, bound: float) -> float:
        """One-sided p."""
        return NormalDist().cdf(-self.deviation(bound))

    def p_below(self, bound: float) -> float:
        """One-sided p."""
        return NormalDist().cdf(self.deviation(bound))


@dataclass(frozen=True)
class PairedShares(ByScore):
    """A share less another share of the same rows: Tango's score interval.

    (Tango, Equivalence Test and Confidence Interval for the Difference in Proportions for the Paired-Sample Design,
    Statistics in Medicine 17, 1998.) The test of a difference takes the variance that the rows have under it; without
    a difference it is McNemar's.

    The counts are of rows: hits in both models, in one only, in neither.
    """

    bounds = (-1.0, 1.0)
    both: int
    only_after: int
    only_before: int
    neither: int
    method: str = "Tango's paired interval"

    @classmethod
    def of(cls, before: np.ndarray, after: np.ndarray) -> "PairedShares":
        """From hits of both models on the same rows, booleans ``[rows]``."""
        counts = (before & after, ~before & after, before & ~after, ~before & ~after)
        both, only_after, only_before, neither = (int(each.sum()) for each in counts)
        return cls(both, only_after, only_before, neither)

    @property
    def n(self) -> int:
        """Rows."""
        return self.both + self.only_after + self.only_before + self.neither

    @property
    def value(self) -> float:
        """The second share less the first."""
        return (self.only_after - self.only_before) / self.n

    def deviation(self, change: float) -> float:
        """As in ``ByScore``."""
        if not -1 < change < 1:
            return math.inf if change <= -1 else -math.inf
        n, changed = self.n, self.only_after + self.only_before
        lost = _larger_root(
            2 * n,
            (2 * n - self.only_after + self.only_before) * change - changed,
            -self.only_before * change * (1 - change),
        )
        return _over(n * (self.value - change), n * (2 * lost + change * (1 - change)))


@dataclass(frozen=True)
class RelativeShares(ByScore):
    """The relative change of a share, after / before - 1, of which the first must be above 0: the score interval.

    (Nam and Blackwelder, Analysis of the Ratio of Marginal Probabilities in a Matched-Pair Setting, Statistics in
    Medicine 21, 2002.) Without a change the test is that of ``PairedShares``.
    """

    bounds = (-1.0, MOST_CHANGE)
    pairs: PairedShares
    method: str = "score interval of paired shares"

    @property
    def value(self) -> float:
        """The change over the first share."""
        return (self.pairs.both + self.pairs.only_after) / (self.pairs.both + self.pairs.only_before) - 1

    def interval(self, tail: float) -> Interval:
        """Both ends; the upper one is infinite where the first share may be 0."""
        low, high = super().interval(tail)
        return low, high if high < MOST_CHANGE else math.inf

    def deviation(self, change: float) -> float:
        """As in ``ByScore``."""
        if change <= -1:
            return math.inf
        pairs, ratio = self.pairs, 1 + change
        n, after, before = pairs.n, pairs.both + pairs.only_after, pairs.both + pairs.only_before
        hit = (n - pairs.neither) / n
        lost = _larger_root(
            (1 + ratio) * n,
            before * (ratio**2 - 1) - pairs.only_after - pairs.only_before,
            -pairs.only_before * change * hit,
        )
        return _over(after - ratio * before, n * (change * hit + (1 + ratio) * lost))


def _larger_root(a: float, b: float, c: float) -> float:
    """Of ax^2 + bx + c: the chance of a row that only the first model gets right, likeliest under the hypothesis."""
    return (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)


def _over(excess: float, variance: float) -> float:
    if abs(excess) < 1e-9:
        return 0.0
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess)


def _score_interval(deviation: Callable[[float], float], value: float, bounds: Interval, tail: float) -> Interval:
    """The values between ``bounds`` from which ``value`` is not too many standard errors away."""
    from scipy.optimize import brentq

    if tail >= 0.5:
        return value, value
    z = NormalDist().inv_cdf(1 - tail)

    def end(bound: float, sign: int) -> float:
        """``deviation`` falls: the bound itself, where it is near enough."""

        def excess(change: float) -> float:
            return min(sign * deviation(change), 2 * z) - z

        if value == bound or excess(bound) <= 0:
            return bound
        return float(brentq(excess, value, bound))  # type: ignore[arg-type]  (SciPy's stubs: or a pair)

    return end(bounds[0], 1), end(bounds[1], -1)
