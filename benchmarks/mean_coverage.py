"""How often 95 % intervals of changes hold the truth where every simulation has a truth of its own.

    python -m benchmarks.mean_coverage simulate --out FILE.jsonl [--only SHAPE ...] [--trials 1000]
    python -m benchmarks.mean_coverage show --out FILE.jsonl

At one fixed truth few rows have few possible samples, so that the coverage of any interval jumps from one truth to the
next, and lies far above 95 % near the ends of a metric's range (``benchmarks/false_alarms.py`` has such truths). What
an interval can promise is its mean coverage over truths (Newcombe, Interval Estimation for the Difference Between
Independent Proportions, Statistics in Medicine 17, 1998; Brown, Cai and DasGupta, Interval Estimation for a Binomial
Proportion, Statistical Science 16, 2001). Here the parameters of both models are uniform over a wide range, and 93 to
97 % is wanted of each shape with 10, 45 and 200 rows, and over 2, 3 and 5 seeds with 45.
"""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import norm

from benchmarks import false_alarms as fixed
from benchmarks import seed_intervals
from benchmarks.false_alarms import ROWS, SAMPLES, Draw, Pair, append, read
from evals import metrics, seeds
from evals.metric import flags

#: Rows that stand for the population where a true change has no formula.
POPULATION = 200_000
#: Exponents of the word pairs of a model's answers.
EXPONENTS = (1.2, 1.3, 1.4, 1.5, 1.6, 1.8)
SEEDS = (2, 3, 5)
Random = np.random.Generator
#: The true change; by the number of rows where it depends on that; None where it has no formula.
Truth = float | Callable[[int], float] | None


def shares(random: Random) -> tuple[Draw, float]:
    p, q = random.random(2)
    return fixed.share(p, q, random.uniform(0, 0.9)), q - p


def shares_of_some(random: Random) -> tuple[Draw, float]:
    p, q = random.random(2)
    answered = random.uniform(0.3, 1, (2, 1))
    hits = fixed.share(p, q, random.uniform(0, 0.9))

    def draw(random: Random, n: int) -> Pair:
        known = random.random((2, n)) < answered
        first, second = (flags(h[:, 0] * k, k) for h, k in zip(hits(random, n), known, strict=True))
        return first, second

    return draw, q - p


def overlaps(random: Random) -> tuple[Draw, None]:
    return fixed.overlap(random.uniform(-1, 1)), None


def word_counts(random: Random) -> tuple[Draw, float]:
    ratios, correlation = np.exp(random.uniform(-0.7, 0.7, 2)), random.uniform(0, 0.9)

    def draw(random: Random, n: int) -> Pair:
        words = np.ceil(random.gamma(2, 8, n))
        factors = np.exp(0.4 * fixed.normals(random, n, correlation) - 0.08) * ratios[:, None]
        first, second = (np.stack([factor * words, words], axis=1) for factor in factors)
        return first, second

    return draw, float(ratios[1] - ratios[0])


def means(random: Random) -> tuple[Draw, float]:
    """As reward margins: values of any size, skewed to either side by as much as an exponential distribution."""
    shift, correlation, skew = random.uniform(-1, 1), random.uniform(0, 0.9), random.choice([-1, 0, 1])

    def draw(random: Random, n: int) -> Pair:
        values = fixed.normals(random, n, correlation)
        if skew:
            values = skew * (-norm.logcdf(values) - 1)
        first, second = (np.stack([value, np.ones(n)], axis=1) for value in values + np.array([[0.0], [shift]]))
        return first, second

    return draw, float(shift)


def texts(random: Random) -> tuple[Draw, Callable[[int], float]]:
    first, second = random.choice(EXPONENTS, 2)
    return fixed.texts(first, second), lambda n: distinct_pairs(second, n) - distinct_pairs(first, n)


@cache
def distinct_pairs(exponent: float, n: int) -> float:
    """The mean share of distinct word pairs in ``n`` answers."""
    random, of_sums = np.random.default_rng(99), metrics.METRICS["distinct_2"].of_sums
    draw = fixed.texts(exponent, exponent)
    return float(np.mean([of_sums(each.sum(0)) for _ in range(SAMPLES // 2) for each in draw(random, n)]))


def losses(random: Random) -> tuple[Draw, None]:
    return fixed.losses(random.uniform(-0.7, 0.7)), None


def classifiers(random: Random) -> tuple[Draw, None]:
    sharpness, noise = np.exp(random.uniform(-0.7, 0.7)), random.uniform(0.3, 2)
    return fixed.probabilities(sharpness, noise, np.exp(random.uniform(-0.7, 0.7))), None


def of(wrap: Callable[[Draw], Draw]) -> Callable[[Random], tuple[Draw, None]]:
    return lambda random: (wrap(classifiers(random)[0]), None)


#: By name: (metric whose change is computed, what gives a pair of models and their true change where it has a formula).
SHAPES: dict[str, tuple[str, Callable[[Random], tuple[Draw, Truth]]]] = {
    "share of rows": ("accuracy", shares),
    "share of answered rows": ("answered_accuracy", shares_of_some),
    "overlap (chrF)": ("content_rate", overlaps),
    "distinct pairs": ("distinct_2", texts),
    "length ratio": ("length_ratio", word_counts),
    "mean of rows": ("reward_margin", means),
    "perplexity": ("perplexity", losses),
    "macro F1": ("f1_macro", of(fixed.classes)),
    "Brier score": ("brier", of(fixed.squared)),
    "AUC": ("auc", classifiers),
    "ECE": ("ece", classifiers),
    "ECE of equal widths": ("ece_equal_width", classifiers),
}


def simulate(name: str, trials: int) -> list[dict]:
    """The coverage for each number of rows; every trial has two models of its own, the same for all numbers."""
    metric, models = SHAPES[name]
    held: dict[int, list[bool]] = {n: [] for n in ROWS}
    for trial in range(trials):
        random = np.random.default_rng(trial)
        draw, truth = models(random)
        if truth is None:
            truth = fixed.population_change(metric, draw, POPULATION)
        for n in ROWS:
            found = metrics.change(metric, *draw(random, n), seed=trial)
            if found and found.low is not None and found.high is not None:
                held[n].append(found.low <= (truth(n) if callable(truth) else truth) <= found.high)
    return [_line(name, n, trials, each) for n, each in held.items()]


def over_seeds(number: int, trials: int) -> dict:
    """The coverage of the change of a share over so many seeds."""
    held = []
    for trial in range(trials):
        random = np.random.default_rng(trial)
        (first, second), spread, shared = random.random(2), random.uniform(0, 0.8), random.uniform(0, 0.9)
        before, after, truth = seed_intervals.shares(random, first, second, spread, number, shared)
        found = seeds.difference(before, after, seed=trial)
        if found and found.low is not None and found.high is not None:
            held.append(found.low <= truth <= found.high)
    return _line(f"share of rows over {number} seeds", seed_intervals.ITEMS, trials, held)


def _line(shape: str, n: int, trials: int, held: list[bool]) -> dict:
    return {"kind": "coverage", "shape": shape, "n": n, "trials": trials, "intervals": len(held),
            "covered": float(np.mean(held))}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulate", "show"))
    parser.add_argument("--out", type=Path, default=Path("outputs/mean_coverage.jsonl"))
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--trials", type=int, default=1000)
    given = parser.parse_args()
    of_seeds = {f"share of rows over {number} seeds": number for number in SEEDS}
    if given.what == "simulate":
        given.out.parent.mkdir(parents=True, exist_ok=True)
        done = {line["shape"] for line in read(given.out)}
        for name in (*SHAPES, *of_seeds):
            if name not in done and (not given.only or name in given.only):
                found = [over_seeds(of_seeds[name], given.trials)] if name in of_seeds else simulate(name, given.trials)
                for line in found:
                    append(given.out, line)
    fixed.show_coverage(read(given.out), (*SHAPES, *of_seeds))


if __name__ == "__main__":
    main()
