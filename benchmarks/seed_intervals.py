"""How often the interval over seeds and items holds the truth: normal items and seeds, 45 items.

``python -m benchmarks.seed_intervals``: a line for each number of seeds and spread over them.
"""

import argparse

import numpy as np

from evals.seeds import difference

ITEMS, NOISE, EFFECT = 45, 0.5, 1.0


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    given = parser.parse_args()
    for seeds in (2, 3, 5):
        for spread in (0.0, 0.1, 0.4, 1.0):
            held, width = coverage(seeds, spread, given.trials)
            print(f"{seeds} seeds, sd {spread:.1f}: {held:.3f} hold the truth, width {width:.2f}")


if __name__ == "__main__":
    main()
