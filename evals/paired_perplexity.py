"""How much the perplexity of two models differs on the same rows, with its interval.

The mean loss per token has a studentised bootstrap interval for each model, by itself and by its logarithm, of which
the end further out counts: losses are skewed to the right, so that few rows show too little of the large ones. Degrees
of freedom are those of as many rows of equal length as the rows are worth (Kish, Survey Sampling, 1965), or fewer where
a few rows make most of the spread. The exponentials are joined with the correlation of the two losses. A studentised
bootstrap of the difference of perplexities itself holds the truth less often: its standard error grows with the
perplexity, so with the estimate.
"""

import math
from dataclasses import dataclass

import numpy as np

from evals.bootstrap import Bootstrapped, bootstrap, influences, satterthwaite
from evals.estimates import Constant, Estimate, Joined
from evals.intervals import Interval
from evals.metric import MOST_NATS, perplexity_of_sums
from evals.paired import ratio


def compare_perplexity(
    before: np.ndarray, after: np.ndarray, seed: int = 0
) -> tuple[float, float, Estimate | None] | None:
    """Both perplexities and the estimate of their difference, from (summed loss in nats, tokens) of each row.

    Args:
        before, after: ``[rows, 2]``.
        seed: of the bootstrap.

    Returns:
        None where a model has no token; no estimate for fewer than 8 rows.
    """
    first, second = (_exp(float(ratio(rows.sum(0)))) for rows in (before, after))
    if not (math.isfinite(first) and math.isfinite(second)):
        return None
    if (before == after).all():
        return first, second, Constant(0.0)
    sides = [found for rows in (before, after) if (found := _Loss.of(rows.astype(float), seed))]
    if len(sides) < 2:
        return first, second, None

    def ends(tail: float) -> tuple[Interval, Interval]:
        return sides[0].perplexity(tail), sides[1].perplexity(tail)

    residuals = [rows[:, 0] - ratio(rows.sum(0)) * rows[:, 1] for rows in (before, after)]
    correlation = float(np.corrcoef(residuals)[0, 1])
    method = "studentised bootstrap of both losses, joined"
    bounds = -math.inf, math.inf
    return first, second, Joined(second - first, (first, second), ends, correlation, method, bounds)


@dataclass(frozen=True)
class _Loss:
    """The mean loss per token as it is, and its logarithm, None where a resample has none."""

    plain: Bootstrapped
    logarithm: Bootstrapped | None

    @classmethod
    def of(cls, rows: np.ndarray, seed: int) -> "_Loss | None":
        """None for too few rows."""
        tokens, influence = rows[:, 1], influences(rows, ratio)
        worth = float(tokens.sum() ** 2 / (tokens**2).sum())
        freedom = min(max(1.0, worth - 1), satterthwaite(influence)) if influence.any() else len(rows) - 1
        plain = bootstrap(rows, ratio, seed, freedom)
        return plain and cls(plain, bootstrap(rows, _log_ratio, seed, freedom))

    def perplexity(self, tail: float) -> Interval:
        """The ends further out, as perplexities."""
        (low, high), (below, above) = (each.interval(tail) for each in (self.plain, self.logarithm or self.plain))
        if self.logarithm:
            below, above = (float(np.exp(min(end, MOST_NATS))) for end in (below, above))
        return _exp(min(low, below)), _exp(max(high, above))


def _log_ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(ratio(sums))


def _exp(loss: float) -> float:
    return float(perplexity_of_sums(np.array([loss, 1.0])))
