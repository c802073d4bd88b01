"""A quantity over several trainings that differ in their seed: its mean, and how sure it is over seeds and over items.

A hierarchical bootstrap: one resample draws seeds, then items. All trainings are evaluated on the same items, so these
are drawn with replacement once for all. Of so few seeds nothing can be drawn with replacement (of three, a ninth of the
resamples would hold one seed only), so their mean is drawn from Student's t with the spread that they have. The sum of
both is Behrens and Fisher's solution for a sum of two means whose variances are estimated apart (Barnard, Comparing the
Means of Two Independent Samples, Applied Statistics 33, 1984).

Shares are not resampled: with few items no resample shows the rare one that is missed. Each item counts with its mean
over seeds, these have the interval of effective sample size (``evals.paired_bounded``), which is at most twice the
number of items, and Student's t of the seeds is joined to it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evals.bootstrap import LEAST_ROWS, RESAMPLES, OfSums, from_resamples
from evals.claims_file import Line, Quantity
from evals.estimates import ByInversion, Estimate, Joined, Relative, Share
from evals.intervals import LEVEL, Interval
from evals.metrics import entry
from evals.paired import Difference, estimate, is_guessing, is_share, ratio
from evals.paired_bounded import METHOD as EFFECTIVE_SIZE
from evals.paired_bounded import CompareBounded

METHOD = "hierarchical bootstrap over seeds, then items"
#: So many seeds say enough of their spread to take off what items add to it.
LEAST_CORRECTED = 3
#: The effective number of items of a share over seeds, over the number of items: so many at most. Without a bound the
#: interval of shares near 0 or 1 is too narrow, with 1 most are too wide (``benchmarks/mean_coverage.py``).
MOST_ROWS = 2.0
#: The statistics of each item, ``[items, k]``, of every seed.
OfSeeds = Sequence[np.ndarray]


@dataclass(frozen=True)
class Pooled:
    """A quantity over seeds. ``by_seed``: its value for each; ``over_seeds``: their standard deviation; ``over_items``:
    the standard error of their mean that comes from the items alone. ``estimate`` mixes both; None for few items.
    """

    by_seed: tuple[float, ...]
    over_seeds: float
    over_items: float
    estimate: Estimate | None


def pool(before: OfSeeds, after: OfSeeds, of_sums: OfSums, quantity: Quantity = "change", seed: int = 0) -> Pooled:
    """The mean of a quantity over two or more seeds.

    Where seeds matter and items do not, the interval is that of Student's t, wide for two or three seeds. The spread
    over seeds is also that of answers to the same items that happen to differ; from three seeds on this part, which the
    items' resamples show, is taken off it.

    Args:
        seed: of the resamples.
    """
    n, seeds = len(after[0]), len(after)
    values = _values(before, after, of_sums, quantity)
    by_seed = values(np.ones((1, n)))[0]
    mean, spread = float(by_seed.mean()), float(by_seed.std(ddof=1))
    if n < LEAST_ROWS:
        return Pooled(tuple(by_seed.tolist()), spread, math.nan, None)
    random = np.random.default_rng(seed)
    found = values(random.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float))
    over_items = float(np.nanstd(found.mean(1)))
    of_seeds = _corrected(spread, found) / math.sqrt(seeds)
    share = _share_over_items(before, after, of_sums, quantity)
    if share:
        most = 0.5 if is_guessing(before[0]) else 1.0
        bounds = (0.0, 1.0) if quantity == "level" else (-most, most)
        return Pooled(tuple(by_seed.tolist()), spread, over_items, ShareOverSeeds(share, of_seeds, seeds - 1, bounds))
    items = (found.mean(1) - mean) * np.sqrt((n - 1) / random.chisquare(n - 1, RESAMPLES))
    moved = of_seeds * random.permutation(_student_t(seeds - 1))
    error = math.hypot(of_seeds, over_items)
    mixed: Estimate | None = from_resamples(mean, error, mean + items + moved, np.full(RESAMPLES, error), n - 1, METHOD)
    if mixed is None and quantity == "change":  # every seed and every item alike
        mixed = estimate(before[0], after[0], of_sums, seed)
    elif mixed is not None and quantity == "relative":
        mixed = Relative(mixed)
    return Pooled(tuple(by_seed.tolist()), spread, over_items, mixed)


@dataclass(frozen=True)
class ShareOverSeeds(ByInversion):
    """A share, or the change of one, over seeds: its interval over items and Student's t of the seeds, joined.

    (By squaring and adding, as of a sum of two independent quantities: Zou and Donner, Construction of Confidence
    Limits About Effect Measures, Statistics in Medicine 27, 2008.) ``of_seeds`` is the standard error from the seeds.
    """

    items: Estimate
    of_seeds: float
    freedom: int
    bounds: Interval

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return self.items.value

    @property
    def method(self) -> str:
        """How both parts are computed."""
        return f"{self.items.method}; Student's t over seeds"

    def interval(self, tail: float) -> Interval:
        """Both ends."""
        from scipy.stats import t

        low, high = self.items.interval(tail)
        half = float(t.ppf(1 - tail, self.freedom)) * self.of_seeds
        low, high = (self.value - math.hypot(self.value - low, half), self.value + math.hypot(high - self.value, half))
        return max(self.bounds[0], low), min(self.bounds[1], high)


def _share_over_items(before: OfSeeds, after: OfSeeds, of_sums: OfSums, quantity: Quantity) -> Estimate | None:
    """The part of the items where each seed has a share: that of their means over seeds; None of other quantities."""
    if of_sums is not ratio or quantity == "relative" or not all(is_share(each) for each in after):
        return None
    second, bounded = np.mean(after, axis=0), CompareBounded(ratio, most=MOST_ROWS)
    if quantity == "level":
        return Share(int(second[:, 0].sum()), len(second)) if is_share(second) else bounded.level(second)
    first = np.mean(before, axis=0)
    if (is_share(first) or is_guessing(first)) and is_share(second):  # every seed has the same rows right
        return estimate(first, second)
    if is_guessing(first):
        level = bounded.level(second)
        assert level, "there are enough rows"
        return Joined(level.value - 0.5, (0.5, level.value), lambda tail: ((0.5, 0.5), level.interval(tail)), 0.0,
                      EFFECTIVE_SIZE)  # fmt: skip
    compared = bounded(first, second) if all(is_share(each) for each in before) else None
    return compared and compared[2]


def _corrected(spread: float, found: np.ndarray) -> float:
    """The standard deviation over seeds without that of the items.

    Args:
        found: the values of resamples, ``[resamples, seeds]``.
    """
    seeds = found.shape[1]
    if seeds < LEAST_CORRECTED:
        return spread
    of_items = float(np.nanvar(found - found.mean(1, keepdims=True), axis=0).sum()) / (seeds - 1)
    return math.sqrt(max(0.0, spread**2 - of_items))


def _student_t(freedom: int) -> np.ndarray:
    """Quantiles of Student's t that divide it into equal parts: with so heavy tails, random draws give noisy ends."""
    from scipy.stats import t

    return t.ppf((np.arange(RESAMPLES) + 0.5) / RESAMPLES, freedom)


def _values(before: OfSeeds, after: OfSeeds, of_sums: OfSums, quantity: Quantity) -> Callable[[np.ndarray], np.ndarray]:
    """From counts of items ``[resamples, items]`` to the quantity of each seed ``[resamples, seeds]``."""

    def values(counts: np.ndarray) -> np.ndarray:
        second = np.stack([of_sums(counts @ each) for each in after], axis=1)
        if quantity == "level":
            return second
        first = np.stack([of_sums(counts @ each) for each in before], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return second - first if quantity == "change" else np.log(second / first)

    return values


def difference(before: OfSeeds, after: OfSeeds, of_sums: OfSums = ratio, seed: int = 0) -> Difference | None:
    """The mean change of a metric over seeds with its 95 % interval; None where it is undefined for one of them."""
    firsts, seconds = ([float(of_sums(each.sum(0))) for each in side] for side in (before, after))
    if not all(map(math.isfinite, (*firsts, *seconds))):
        return None
    found = pool(before, after, of_sums, "change", seed).estimate
    low, high = found.interval((1 - LEVEL) / 2) if found else (None, None)
    first, second = sum(firsts) / len(firsts), sum(seconds) / len(seconds)
    return Difference(len(after[0]), first, second, second - first, low, high, found.method if found else "few rows")


@dataclass(frozen=True)
class MeasuredSeeds:
    """What ``evals.claims.decide`` needs, of several seeds: the statistics of base and tuned model of each, by metric.

    ``seed`` is that of the resamples.
    """

    before: Sequence[Mapping[str, np.ndarray]]
    after: Sequence[Mapping[str, np.ndarray]]
    seed: int = 0

    def n(self, metric: str) -> int:
        """The number of items on which every seed has the metric; 0 where one has not."""
        return len(self.after[0][metric]) if all(metric in each for each in (*self.before, *self.after)) else 0

    def estimate(self, line: Line) -> Estimate | None:
        """The quantity that ``line`` is about; None where it is undefined or rows are too few."""
        if not self.n(line.metric):
            return None
        known, metric = entry(line.metric), line.metric
        before, after = [each[metric] for each in self.before], [each[metric] for each in self.after]
        return pool(before, after, known.of_sums if known else ratio, line.quantity, self.seed).estimate
