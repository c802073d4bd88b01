"""The smallest effect that a number of test rows can show: two-sided tests at 5 %, power 80 %, normal approximation."""

from collections.abc import Callable
from math import sqrt
from statistics import NormalDist

ALPHA = 0.05
POWER = 0.8
#: Share of rows on which two models differ in being right, where nothing better is known.
DISCORDANT = 0.2
#: Accuracy of the better model, where nothing better is known.
ACCURACY = 0.85


def paired_difference(n: int, discordant: float = DISCORDANT) -> float | None:
    """Smallest difference of two accuracies on the same ``n`` rows that McNemar's test finds; None where it finds none.

    ``discordant`` is the share of rows that exactly one of the two gets right. Solves Connor's
    n = (z_alpha sqrt(discordant) + z_power sqrt(discordant - d^2))^2 / d^2 for d (Connor, Sample size for testing
    differences in proportions for the paired-sample design, Biometrics 43, 1987, pp. 207-211).
    """
    alpha, power = _z()

    def needed(d: float) -> float:
        return ((alpha * sqrt(discordant) + power * sqrt(max(discordant - d * d, 0.0))) / d) ** 2

    return _smallest(needed, n, discordant)


def independent_difference(n: int, accuracy: float = ACCURACY) -> float | None:
    """Smallest fall from ``accuracy`` that two separate samples of ``n`` rows show; None where they show none.

    Solves n = (z_alpha sqrt(2 m (1 - m)) + z_power sqrt(p (1 - p) + q (1 - q)))^2 / (p - q)^2 for p - q, with m the
    mean of p and q (Fleiss, Statistical Methods for Rates and Proportions, 2nd ed. 1981, section 3.2, without the
    correction for continuity).
    """
    alpha, power = _z()

    def needed(d: float) -> float:
        q = accuracy - d
        m = (accuracy + q) / 2
        spread = sqrt(accuracy * (1 - accuracy) + q * (1 - q))
        return ((alpha * sqrt(2 * m * (1 - m)) + power * spread) / d) ** 2

    return _smallest(needed, n, accuracy)


def accuracy_above_chance(n: int, chance: float = 0.5) -> float | None:
    """Smallest accuracy that ``n`` rows distinguish from ``chance``; None where not even 1.0 is.

    Solves n = (z_alpha sqrt(c (1 - c)) + z_power sqrt(p (1 - p)))^2 / (p - c)^2 for p (the same book, section 1.5).
    """
    alpha, power = _z()

    def needed(d: float) -> float:
        p = chance + d
        return ((alpha * sqrt(chance * (1 - chance)) + power * sqrt(max(p * (1 - p), 0.0))) / d) ** 2

    found = _smallest(needed, n, 1 - chance)
    return None if found is None else chance + found


def _z() -> tuple[float, float]:
    normal = NormalDist()
    return normal.inv_cdf(1 - ALPHA / 2), normal.inv_cdf(POWER)


def _smallest(needed: Callable[[float], float], n: int, most: float) -> float | None:
    """The smallest difference up to ``most`` for which ``needed`` says ``n`` rows or fewer: it falls as they grow."""
    if n < 1 or needed(most) > n:
        return None
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if needed(middle) <= n else (middle, high)
    return high
