"""How much the perplexity of two models differs on the same rows, with its interval.

The mean loss per token has a studentised bootstrap interval for each model; their exponentials are joined with the
correlation of the two losses. A studentised bootstrap of the difference of perplexities itself holds the truth less
often: its standard error grows with the perplexity, so with the estimate.
"""

import math

import numpy as np

from evals.bootstrap import Bootstrapped, bootstrap
from evals.estimates import Constant, Estimate, Joined
from evals.intervals import Interval
from evals.metric import perplexity_of_sums
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
    found = [bootstrap(rows.astype(float), ratio, seed) for rows in (before, after)]
    sides = [each for each in found if each]
    if len(sides) < 2:
        return first, second, None

    def ends(tail: float) -> tuple[Interval, Interval]:
        return _perplexities(sides[0], tail), _perplexities(sides[1], tail)

    residuals = [rows[:, 0] - ratio(rows.sum(0)) * rows[:, 1] for rows in (before, after)]
    correlation = float(np.corrcoef(residuals)[0, 1])
    method = "studentised bootstrap of both losses, joined"
    bounds = -math.inf, math.inf
    return first, second, Joined(second - first, (first, second), ends, correlation, method, bounds)


def _perplexities(loss: Bootstrapped, tail: float) -> Interval:
    low, high = loss.interval(tail)
    return _exp(low), _exp(high)


def _exp(loss: float) -> float:
    return float(perplexity_of_sums(np.array([loss, 1.0])))
