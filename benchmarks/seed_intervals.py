"""How often the interval over seeds and items holds the truth, with 45 items.

``python -m benchmarks.seed_intervals``: normal items and seeds, a line for each number of seeds and spread over them;
``--shares``: shares of items that are right, before and after, whose normal quantile has a spread over seeds.
"""

import argparse
from itertools import product

import numpy as np
from scipy.stats import norm

from evals.seeds import difference

ITEMS, NOISE, EFFECT = 45, 0.5, 1.0
#: Of shares: before and after, and how far models agree on what is hard.
PAIRS, SHARED = ((0.02, 0.98), (0.02, 0.9), (0.9, 0.97), (0.95, 0.98), (0.5, 0.8), (0.05, 0.05)), 0.6


def means(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def coverage(seeds: int, spread: float, trials: int) -> tuple[float, float]:
    """(share of trials whose interval holds the effect, median width)."""
    random, hits, widths = np.random.default_rng(1), 0, []
    for trial in range(trials):
        item, base = random.normal(0, NOISE, ITEMS), random.normal(0, 1, ITEMS)
        effects = random.normal(EFFECT, spread, seeds)
        after = [means(base + effect + item + random.normal(0, NOISE, ITEMS)) for effect in effects]
        found = difference([means(base)] * seeds, after, seed=trial)
        assert found and found.low is not None and found.high is not None
        hits += found.low <= EFFECT <= found.high
        widths.append(found.high - found.low)
    return hits / trials, float(np.median(widths))


def shares(
    random: np.random.Generator, first: float, second: float, spread: float, seeds: int, shared: float = SHARED
) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Hits of ``seeds`` trainings before and after, whose shares are ``first`` and ``second``; the true change.

    ``second`` is that of a seed in the middle; the normal quantile of a seed's share has the deviation ``spread``.
    ``shared``: how far models agree on what is hard, the correlation of the normal values behind their hits.
    """
    item = random.standard_normal(ITEMS)

    def right(quantile: float) -> np.ndarray:
        asked = np.sqrt(shared) * item + np.sqrt(1 - shared) * random.standard_normal(ITEMS)
        return means((asked < quantile).astype(float))

    base = right(float(norm.ppf(first)))
    after = [right(float(norm.ppf(second)) + random.normal(0, spread)) for _ in range(seeds)]
    return [base] * seeds, after, float(norm.cdf(norm.ppf(second) / np.sqrt(1 + spread**2))) - first


def share_coverage(first: float, second: float, seeds: int, spread: float, trials: int) -> tuple[float, float]:
    """The same of a share that was ``first`` and is ``second`` in each seed, on average."""
    random, hits, widths = np.random.default_rng(1), 0, []
    for trial in range(trials):
        before, after, truth = shares(random, first, second, spread, seeds)
        found = difference(before, after, seed=trial)
        assert found and found.low is not None and found.high is not None
        hits += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    return hits / trials, float(np.median(widths))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--shares", action="store_true")
    given = parser.parse_args()
    if given.shares:
        for (first, second), seeds, spread in product(PAIRS, (2, 3, 5), (0.0, 0.5)):
            held, width = share_coverage(first, second, seeds, spread, given.trials)
            print(
                f"{first} / {second}, {seeds} seeds, sd {spread}: {held:.3f} hold the truth, width {width:.2f}",
                flush=True,
            )
        return
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.1, 0.4, 1.0):
            held, width = coverage(seeds, spread, given.trials)
            print(f"{seeds} seeds, sd {spread:.1f}: {held:.3f} hold the truth, width {width:.2f}")


if __name__ == "__main__":
    main()
