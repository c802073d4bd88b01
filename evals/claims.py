"""Whether claims about a metric hold: confirmed, refuted or undecided, corrected for the number of claims.

Each line has two p-values. The first is small where the claim is shown, the second where its opposite is. A claim with
one bound takes the test's two-sided p, as the end of a two-sided interval does; a range is shown by two one-sided tests
(TOST; Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15, 1987). Holm's method corrects both over all
lines. So the probability that any claim is confirmed falsely is at most alpha, and that any is refuted falsely, too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from evals.bootstrap import LEAST_ROWS, OfSums, bootstrap
from evals.claims_file import Claims, Line, possible
from evals.estimates import Constant, Estimate, Relative, Share, relative
from evals.intervals import Interval
from evals.metric import Metric
from evals.metrics import entry
from evals.paired import estimate, is_share, known_rows, ratio
from evals.paired_bounded import CompareBounded
from evals.paired_shares import PairedShares, RelativeShares
from evals.significance import holm

Outcome = Literal["confirmed", "refuted", "undecided"]
LEAST_P = 1e-12
#: More rows than this are not worth a figure.
MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Result:
    """What became of one line.

    ``value`` is the change, the relative change or the tuned model's value, as the line says, with its interval from
    ``low`` to ``high`` at ``level``: the level at which Holm's method tests this line. It lies within the bounds where
    the claim is confirmed, outside where it is refuted. ``p_value`` is that of the claim, ``p_opposite`` that of its
    opposite, both adjusted. ``more_rows``: how many more rows or items would decide, if the value is as it seems;
    None where it is decided, or where that can't be computed. With several seeds so many rows decide only with
    ``more_seeds`` more of these. All are None where the metric was not measured.
    """

    line: Line
    outcome: Outcome
    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    p_opposite: float | None = None
    more_rows: int | None = None
    more_seeds: int | None = None
    method: str = ""

    @property
    def reason(self) -> str:
        """The outcome in words, with what an undecided line would need."""
        if self.outcome != "undecided":
            return self.outcome
        if self.value is None:
            return f"undecided ({self.method})"
        units = self.line.units
        if self.more_rows is None:
            return f"undecided (how many more {units} would decide is not known)"
        more = f"{self.more_rows:,}" if self.more_rows <= MOST_ROWS else f"over {MOST_ROWS:,}"
        seeds = f" and {self.more_seeds:,} more seeds" if self.more_seeds else ""
        return f"undecided ({more} more {units}{seeds} would decide)"


def decide(
    claims: Claims,
    estimates: Callable[[Line], Estimate | None],
    n: Callable[[str], int],
    seeds: int = 1,
) -> list[Result]:
    """The outcome of every line, in order.

    Args:
        estimates: the quantity that a line is about; None where it was not measured or rows are too few.
        n: the number of test rows of a metric.
        seeds: the number of trainings; with several, intervals narrow with seeds and rows together.
    """
    found = [estimates(line) for line in claims.lines]
    pairs = [_p_values(line, each) for line, each in zip(claims.lines, found, strict=True)]
    shown, opposite = (_adjusted([pair[side] for pair in pairs]) for side in (0, 1))
    return [
        _result(line, each, n(line.metric), seeds, claims.alpha, pair, (p, q))
        for line, each, pair, p, q in zip(claims.lines, found, pairs, shown, opposite, strict=True)
    ]


def _p_values(line: Line, found: Estimate | None) -> tuple[float, float]:
    """Of the claim, and of its opposite."""
    if found is None:
        return 1.0, 1.0
    if line.is_range:
        inside = max(found.p_above(line.low), found.p_below(line.high))
        return max(LEAST_P, inside), max(LEAST_P, min(found.p_below(line.low), found.p_above(line.high)))
    if math.isfinite(line.low):
        shown, opposite = found.p_above(line.low), found.p_below(line.low)
    else:
        shown, opposite = found.p_below(line.high), found.p_above(line.high)
    return min(1.0, max(LEAST_P, 2 * shown)), min(1.0, max(LEAST_P, 2 * opposite))


def _adjusted(p_values: Sequence[float]) -> list[float]:
    return [1.0 if p is None else p for p in holm(p_values)]


def _result(
    line: Line,
    found: Estimate | None,
    n: int,
    seeds: int,
    alpha: float,
    raw: tuple[float, float],
    adjusted: tuple[float, float],
) -> Result:
    if found is None:
        return Result(line, "undecided", n, method=_missing(line, n))
    outcome: Outcome = "undecided"
    if adjusted[0] <= alpha:
        outcome = "confirmed"
    elif adjusted[1] <= alpha:
        outcome = "refuted"
    # Holm compares an adjusted p with alpha where the p itself is compared with this share of it
    shares = [p / q for p, q in zip(raw, adjusted, strict=True)]
    share = {"confirmed": shares[0], "refuted": shares[1], "undecided": min(shares)}[outcome]
    tail = alpha * share / (1 if line.is_range else 2)
    low, high = _possible(line, found.interval(tail))
    times = None if outcome != "undecided" else _times(line, found, tail)
    more, more_seeds = (None if times is None else max(1, math.ceil(of * (times - 1))) for of in (n, seeds))
    decided = (outcome, n, found.value, low, high, 1 - 2 * tail, *adjusted)
    return Result(line, *decided, more, more_seeds if seeds > 1 else None, found.method)


def _possible(line: Line, interval: Interval) -> Interval:
    """The part of an interval that the quantity can lie in."""
    known = entry(line.metric)
    low, high = possible(line.quantity, known.range if known else (-math.inf, math.inf))
    return max(interval[0], low), min(interval[1], high)


def _missing(line: Line, n: int) -> str:
    """Why there is no interval."""
    if not n:
        return "not measured"
    if n < LEAST_ROWS:
        return f"no interval from {n} {line.units}: it takes {LEAST_ROWS}"
    if line.quantity != "relative":
        return f"no interval: undefined on {n} {line.units}"
    known = entry(line.metric)
    why = "one of both can't be told from 0" if known and known.level else "the base has 0"
    return f"no interval: {why} on {n} {line.units}"


def _times(line: Line, found: Estimate, tail: float) -> float | None:
    """How many times the rows would decide: the distance to a bound grows with their root, in standard errors."""
    if line.low < found.value < line.high:
        tests = ((found.p_above, line.low), (found.p_below, line.high))
        p_values = [p_value(bound) for p_value, bound in tests if math.isfinite(bound)]
    else:
        p_values = [found.p_below(line.low) if found.value <= line.low else found.p_above(line.high)]
    if not all(0 < p < 0.5 for p in p_values):
        return None
    wanted, normal = NormalDist().inv_cdf(1 - tail), NormalDist()
    least = min(-normal.inv_cdf(p) for p in p_values)
    return (wanted / least) ** 2


@dataclass(frozen=True)
class Measured:
    """The statistics of the rows of base (``before``) and tuned model (``after``), arrays ``[rows, k]`` by metric.

    ``seed`` is that of resampled intervals.
    """

    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    seed: int = 0

    def n(self, metric: str) -> int:
        """The number of rows on which both models have the metric; 0 where one has not."""
        return len(self._rows(metric)[0])

    def estimate(self, line: Line) -> Estimate | None:
        """The quantity that ``line`` is about; None where it is undefined or rows are too few."""
        before, after = self._rows(line.metric)
        known = entry(line.metric)
        of_sums, compare = (known.of_sums, known.compare) if known else (ratio, None)
        if not len(before):
            return None
        if known and known.level and line.quantity != "change":  # no function of sums
            return self._of_rows(line, known)
        if line.quantity == "change" and compare:
            compared = compare(before, after, self.seed)
            return compared and compared[2]
        if not all(math.isfinite(of_sums(each.sum(0))) for each in (before, after)):
            return None
        if line.quantity == "change":
            return estimate(before, after, of_sums, self.seed)
        if line.quantity == "level":
            return compare.level(after) if isinstance(compare, CompareBounded) else _level(after, of_sums, self.seed)
        return _relative(before, after, of_sums, self.seed)

    def _of_rows(self, line: Line, known: Metric) -> Estimate | None:
        before, after = self._rows(line.metric)
        if line.quantity == "level":
            return known.level and known.level(after, self.seed)
        compared = known.compare and known.compare(before, after, self.seed)
        return compared and relative(*compared)

    def _rows(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        if metric not in self.before or metric not in self.after:
            return np.zeros((0, 2)), np.zeros((0, 2))
        return known_rows(self.before[metric], self.after[metric])


def _level(rows: np.ndarray, of_sums: OfSums, seed: int) -> Estimate | None:
    if of_sums is ratio and is_share(rows):
        return Share(int(rows[:, 0].sum()), len(rows))
    return bootstrap(rows.astype(float), of_sums, seed)


def _relative(before: np.ndarray, after: np.ndarray, of_sums: OfSums, seed: int) -> Estimate | None:
    """None where the base's value is 0 or below."""
    if float(of_sums(before.sum(0))) <= 0:
        return None
    if of_sums is ratio and is_share(before) and is_share(after):
        return RelativeShares(PairedShares.of(before[:, 0] == 1, after[:, 0] == 1))

    def logarithm(sums: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(of_sums(sums))

    found = estimate(before, after, logarithm, seed)
    return found and (found if isinstance(found, Constant) else Relative(found))


def summary(results: Sequence[Result]) -> str:
    """``2 of 3 claims confirmed, 1 undecided; 1 of 2 keeps confirmed, 1 refuted``: for a verdict."""
    parts = []
    for name, is_keep in (("claim", False), ("keep", True)):
        own = [each.outcome for each in results if each.line.is_keep == is_keep]
        if own:
            rest = [f"{own.count(word)} {word}" for word in ("refuted", "undecided") if word in own]
            plural = name if len(own) == 1 else f"{name}s"
            parts.append(", ".join([f"{own.count('confirmed')} of {len(own)} {plural} confirmed", *rest]))
    return "; ".join(parts)
