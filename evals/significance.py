"""Whether a difference is more than chance: two models on the same rows, many such tests, a mean over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from statistics import fmean, stdev

from evals.classification import Prediction


@dataclass(frozen=True)
class Comparison:
    """Two models on the same rows. ``only_before`` and ``only_after`` count rows that exactly one gets right.

    ``gain`` is the accuracy of the second less that of the first; None, like ``p_value``, where there are no rows.
    """

    n: int
    only_before: int
    only_after: int
    gain: float | None
    p_value: float | None


def compare(truth: Sequence[int], before: Sequence[Prediction], after: Sequence[Prediction]) -> Comparison:
    """McNemar's exact test, two-sided (McNemar 1947, Psychometrika 12, pp. 153-157).

    Of the rows that one model gets right and the other doesn't, either would have half if the models were equally
    good. Invalid answers and errors are wrong. Where the models never differ the p-value is 1.
    """
    from scipy.stats import binomtest

    pairs = [
        (a.outcome == label, b.outcome == label) for label, a, b in zip(truth, before, after, strict=True)
    ]  # "invalid" and "error" equal no label
    lost, won = pairs.count((True, False)), pairs.count((False, True))
    if not pairs:
        return Comparison(0, 0, 0, None, None)
    p_value = float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0
    return Comparison(len(pairs), lost, won, (won - lost) / len(pairs), p_value)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values in the same order: all of them below .05 together are wrong in at most 5 % of studies.

    Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6. None is
    no test: it stays None and does not count.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, p * (len(order) - rank)))
        adjusted[i] = largest
    return adjusted


#: Between what shares lie, and so their intervals; and where nothing is known of that.
SHARE, ANY = (0.0, 1.0), (-inf, inf)


@dataclass(frozen=True)
class MeanOverSeeds:
    """Mean of ``n`` defined values with the 95 % interval of Student's t; no interval from fewer than two values."""

    n: int
    mean: float
    low: float | None
    high: float | None


def mean_over_seeds(values: Sequence[float | None], bounds: tuple[float, float] = ANY) -> MeanOverSeeds | None:
    """The mean with its interval; undefined values are left out, and None is returned where nothing is left.

    The interval is cut at ``bounds``, between which all values lie. With three seeds it is 4.3 standard errors to each
    side: so little do three seeds say.
    """
    from scipy.stats import t

    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = fmean(known)
    if len(known) < 2:
        return MeanOverSeeds(len(known), mean, None, None)
    half = float(t.ppf(0.975, len(known) - 1)) * stdev(known) / sqrt(len(known))
    return MeanOverSeeds(len(known), mean, max(bounds[0], mean - half), min(bounds[1], mean + half))
