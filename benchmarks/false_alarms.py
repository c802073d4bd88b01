"""How often intervals are wrong: coverage and power in simulations, and champions moved by runs of other seeds.

    python -m benchmarks.false_alarms simulate --out FILE.jsonl [--only SHAPE ...] [--minutes 5]
    python -m benchmarks.false_alarms runs --folder FOLDER [--count 5]
    python -m benchmarks.false_alarms show --out FILE.jsonl --folder FOLDER

``simulate`` draws two models' rows from distributions whose true difference is known, computes the difference as every
run does (``evals.metrics.change``), and counts how often its 95 % interval holds the truth: 93 to 97 % is wanted, for
each metric's shape and 10, 45 and 200 rows. Of shares all samples are counted and none is drawn. Then it plants effects
of the size that has a power of 80 % by the formula, and counts how often they are found. ``runs`` trains the bundled
base on the first 60 pairs of the clean set, again and again, with other seeds only, each time a whole ``-e pirate``
with promotion, and ``show`` counts how many moved the champion, and how many of all ordered pairs of runs would: at
most 5 % is wanted. Both go on where they stopped.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import multinomial, multivariate_normal, norm

from evals import metrics, power, text_metrics
from evals.estimates import Share
from evals.metric import flags
from evals.paired import Difference, difference
from evals.paired_shares import PairedShares

ROWS = (10, 45, 200)
COVERED, MOST_MOVED = (0.93, 0.97), 0.05
#: Rows that stand for the population where a true value has no formula.
POPULATION = 400_000
Pair = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Pair]


def normals(random: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """Two correlated standard normal values of each row, ``[2, n]``: what a row asks of both models."""
    first, second = random.standard_normal((2, n))
    return np.stack([first, correlation * first + np.sqrt(1 - correlation**2) * second])


def share(p: float, q: float, correlation: float = 0.6) -> Draw:
    """Hits of two models that are right on the shares ``p`` and ``q``."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        first, second = normals(random, n, correlation)
        return flags(first < norm.ppf(p)), flags(second < norm.ppf(q))

    return draw


def share_of_some(p: float, q: float) -> Draw:
    """The same among the rows that were answered: 40 % by the first, 95 % by the second."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        hits = share(p, q)(random, n)
        answered = random.random((2, n)) < np.array([[0.4], [0.95]])
        return tuple(flags(h[:, 0] * a, a) for h, a in zip(hits, answered, strict=True))  # type: ignore[return-value]

    return draw


def overlap(shift: float) -> Draw:
    """As chrF: matched n-grams over all, in rows of very different lengths."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        lengths, ask = random.gamma(2, 15, n) + 3, normals(random, n, 0.7)
        rates = 1 / (1 + np.exp(-ask - np.array([[0.0], [shift]])))
        return tuple(np.stack([rate * lengths, lengths], axis=1) for rate in rates)  # type: ignore[return-value]

    return draw


def losses(shift: float) -> Draw:
    """As perplexity: summed losses and tokens of rows, the mean loss of a row skewed to the right."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        tokens, ask = np.ceil(random.gamma(2, 6, n)), normals(random, n, 0.8)
        means = np.exp(0.3 + 0.6 * ask - np.array([[0.0], [shift]]))
        return tuple(np.stack([mean * tokens, tokens], axis=1) for mean in means)  # type: ignore[return-value]

    return draw


def probabilities(sharpness: float, noise: float = 0.7, base: float = 1.0) -> Draw:
    """(true label, probability of label 1) of two models; the second's logits are ``sharpness`` times the first's."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        logit = 1.8 * random.standard_normal(n)
        truth = (random.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
        errors = normals(random, n, 0.5) * np.array([[0.7], [noise]])
        scale = np.array([[base], [base * sharpness]])
        p = 1 / (1 + np.exp(-scale * (logit + errors)))
        return np.stack([truth, p[0]], axis=1), np.stack([truth, p[1]], axis=1)

    return draw


def ranked(first: float, second: float) -> Draw:
    """(true label, score) of two models whose scores of label 1 lie so many standard deviations higher."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        truth = (np.arange(n) % 2).astype(float)
        scores = normals(random, n, 0.5) + np.array([[first], [second]]) * truth
        return np.stack([truth, scores[0]], axis=1), np.stack([truth, scores[1]], axis=1)

    return draw


def squared(inner: Draw) -> Draw:
    """The same rows' statistics of the Brier score."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        pair = inner(random, n)
        return tuple(np.stack([(p - y) ** 2, np.ones(n)], axis=1) for y, p in (each.T for each in pair))  # type: ignore[return-value]

    return draw


def texts(first: float, second: float) -> Draw:
    """The statistics of distinct word pairs of two models' answers: word pairs of Zipf's law with these exponents."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        lengths = random.integers(3, 25, n)
        ranks = [random.zipf(exponent, lengths.sum()) for exponent in (first, second)]
        parts = [np.split(each, np.cumsum(lengths)[:-1]) for each in ranks]
        answers = [[" ".join(f"w{rank}" for rank in part) for part in each] for each in parts]
        return tuple(text_metrics.distinct_2_statistics(each) for each in answers)  # type: ignore[return-value]

    return draw


def classes(inner: Draw) -> Draw:
    """The same rows' statistics of macro F1."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        columns = []
        for truth, p in (each.T for each in inner(random, n)):
            right = (p > 0.5) == (truth == 1)
            parts = [[2 * right * (truth == label), ((p > 0.5) == label) * 1.0 + (truth == label)] for label in (0, 1)]
            columns.append(np.stack([*parts[0], *parts[1]], axis=1).astype(float))
        return columns[0], columns[1]

    return draw


#: By name: the shares of rows on which two models are right, and their correlation. All their samples are counted.
SHARES = {
    "share .50 / .50": (0.5, 0.5, 0.6),
    "share .50 / .80": (0.5, 0.8, 0.6),
    "share .05 / .05": (0.05, 0.05, 0.6),
    "share .97 / .90": (0.97, 0.9, 0.6),
}
#: By name: (metric whose change is computed, how rows are drawn, trials).
SHAPES: dict[str, tuple[str, Draw, int]] = {
    "answered share .60 / .80": ("answered_accuracy", share_of_some(0.6, 0.8), 1000),
    "overlap (chrF), equal": ("content_rate", overlap(0.0), 500),
    "overlap (chrF), better": ("content_rate", overlap(0.8), 500),
    "distinct pairs, equal": ("distinct_2", texts(1.3, 1.3), 500),
    "distinct pairs, fewer": ("distinct_2", texts(1.3, 1.6), 500),
    "perplexity, equal": ("perplexity", losses(0.0), 1500),
    "perplexity, better": ("perplexity", losses(0.5), 1500),
    "macro F1, worse": ("f1_macro", classes(probabilities(1.0, 2.0)), 2000),
    "macro F1, equal": ("f1_macro", classes(probabilities(1.0)), 2000),
    "Brier score, sharper": ("brier", squared(probabilities(2.0)), 2000),
    "Brier score, far too sure": ("brier", squared(probabilities(4.0, base=0.8)), 2000),
    "Brier score, equal": ("brier", squared(probabilities(1.0)), 2000),
    "AUC, equal": ("auc", probabilities(1.0), 1000),
    "AUC, worse": ("auc", probabilities(1.0, 2.0), 1000),
    "AUC, .96 of both": ("auc", ranked(2.5, 2.5), 1000),
    "ECE, both calibrated": ("ece", probabilities(1.0, base=0.8), 200),
    "ECE, one too sure": ("ece", probabilities(4.0, base=0.8), 200),
    "ECE, both too sure": ("ece", probabilities(2.0, base=2.0), 200),
    "ECE of equal widths, both calibrated": ("ece_equal_width", probabilities(1.0, base=0.8), 200),
    "ECE of equal widths, one too sure": ("ece_equal_width", probabilities(4.0, base=0.8), 200),
}
#: Shapes whose two models' rows have one and the same distribution, so that the true change is 0.
EQUAL = (*(name for name in SHAPES if name.endswith(", equal")), "AUC, .96 of both", "ECE, both calibrated",
         "ECE of equal widths, both calibrated")  # fmt: skip
#: Shapes whose true change depends on the number of rows: the mean over so many samples of as many rows.
BY_ROWS, SAMPLES = ("distinct pairs, fewer",), 2000


def true_change(name: str, n: int) -> float:
    """The change in a population: 0 of equal models; an ECE of so many rows is hardly lifted by chance."""
    if name in EQUAL:
        return 0.0
    metric, draw, _ = SHAPES[name]
    if name in BY_ROWS:
        random, sums = np.random.default_rng(99), metrics.METRICS[metric].of_sums
        samples = (draw(random, n) for _ in range(SAMPLES))
        return float(np.mean([sums(after.sum(0)) - sums(before.sum(0)) for before, after in samples]))
    return population_change(metric, draw)


def population_change(metric: str, draw: Draw, rows: int = POPULATION) -> float:
    """The change of a metric of so many rows of both models, taken for the true one."""
    before, after = draw(np.random.default_rng(99), rows)
    if metric in ("auc", "ece", "ece_equal_width"):
        from evals import calibration
        from evals.classification import auc

        def value(rows: np.ndarray) -> float:
            truth, p = rows.T
            if metric == "auc":
                return auc(truth, p) or 0.0
            binning = calibration.equal_mass if metric == "ece" else calibration.equal_width
            return calibration.ece(np.maximum(p, 1 - p), (p > 0.5) == (truth == 1), binning=binning)

        return value(after) - value(before)
    of_sums = metrics.METRICS[metric].of_sums
    return float(of_sums(after.sum(0)) - of_sums(before.sum(0)))


def coverage(name: str, n: int) -> dict[str, float | str | int]:
    """How often the interval of a shape's change held the truth, and lay above 0 and below."""
    metric, draw, trials = SHAPES[name]
    truth, random = true_change(name, n), np.random.default_rng(n)
    found = [metrics.change(metric, *draw(random, n), seed=i) for i in range(trials)]
    known = [each for each in found if each and each.low is not None and each.high is not None]
    held = sum(each.low <= truth <= each.high for each in known)  # type: ignore[operator]
    width = float(np.mean([each.high - each.low for each in known])) if known else 0.0  # type: ignore[operator]
    return {"kind": "coverage", "shape": name, "n": n, "trials": trials, "intervals": len(known),
            "covered": held / max(1, len(known)), "true": truth, "width": width}  # fmt: skip


def exact_share(name: str, n: int) -> dict[str, float | str | int]:
    """The same of a share, not simulated: over all samples of ``n`` rows, each with its probability.

    ``few_discordant`` is the probability of a sample in which fewer than four rows are right in one model only. These
    can't show a change, even if all of them are the same model's (McNemar's test without a correction: 3 / sqrt(3) <
    1.96), so where the shares are equal no interval that agrees with this test could hold the truth less often.
    """
    p, q, correlation = SHARES[name]
    lost, won = discordant(p, q, correlation)
    covered = few_discordant = width = 0.0
    for only_before in range(n + 1):
        only_after = np.arange(n + 1 - only_before)
        chances = multinomial.pmf(
            np.stack([np.full_like(only_after, only_before), only_after, n - only_before - only_after], axis=1),
            n, [lost, won, 1 - lost - won],
        )  # fmt: skip
        few_discordant += float(chances[only_before + only_after < 4].sum())
        for gained, chance in zip(only_after.tolist(), chances.tolist(), strict=True):
            if chance > 1e-9:
                low, high = PairedShares(0, gained, only_before, n - gained - only_before).interval(0.025)
                covered += chance * (low <= q - p <= high)
                width += chance * (high - low)
    return {"kind": "coverage", "shape": name, "n": n, "trials": 0, "intervals": 0, "covered": covered,
            "true": q - p, "width": width, "few_discordant": few_discordant}  # fmt: skip


def discordant(p: float, q: float, correlation: float) -> tuple[float, float]:
    """The probabilities that a row is right in the first model only, and in the second only."""
    covariance = [[1, correlation], [correlation, 1]]
    both = float(multivariate_normal([0, 0], covariance).cdf(norm.ppf([p, q])))
    return p - both, q - both


def planted(n: int, discordant: float = 0.2) -> Iterator[dict[str, float | str | int]]:
    """How often a fall of accuracy is found that is found in 80 % of cases by the formula; and the same of a mean."""
    random, trials = np.random.default_rng(n), 1000
    fall = power.paired_difference(n, discordant)
    if fall is not None:
        lost, won = (discordant + fall) / 2, (discordant - fall) / 2
        found = 0
        for _ in range(trials):
            u = random.random(n)
            before, after = (u < lost) | (u > 0.4), ((u >= lost) & (u < lost + won)) | (u > 0.4)
            found += is_fall(difference(flags(before), flags(after)))
        yield {"kind": "power", "shape": "share of rows", "n": n, "effect": fall, "found": found / trials}
    effect, found = 2.802 / np.sqrt(n), 0  # (1.96 + .842) standard errors of a mean difference with deviation 1
    ones = np.ones(n)
    for i in range(trials // 2):
        rows = random.standard_normal((2, n))
        change = difference(np.stack([rows[0], ones], 1), np.stack([rows[0] + rows[1] - effect, ones], 1), seed=i)
        found += is_fall(change)
    yield {"kind": "power", "shape": "mean of rows", "n": n, "effect": effect, "found": found / (trials // 2)}


def is_fall(change: Difference | None) -> bool:
    return change is not None and change.is_decrease


def simulate(out: Path, only: list[str], minutes: float) -> None:
    """Append a line a cell to ``out`` until all are there or the time is up."""
    done = {(line["shape"], line["n"]) for line in read(out)}
    end = time.monotonic() + 60 * minutes
    cells: list[tuple[str, int]] = [(name, n) for name in (*SHARES, *SHAPES) for n in ROWS if not only or name in only]
    for name, n in cells:
        if (name, n) not in done and time.monotonic() < end:
            append(out, (exact_share if name in SHARES else coverage)(name, n))
    for n in (45, 200, 400):
        if not only and ("mean of rows", n) not in done and time.monotonic() < end:
            for line in planted(n):
                append(out, line)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(path: Path, line: dict) -> None:
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def runs(folder: Path, count: int) -> None:
    """Add ``count`` runs with the next seeds to the store in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    pairs, log = folder / "pairs.jsonl", folder / "runs.jsonl"
    if not pairs.exists():
        lines = Path("data/sets/pirate/clean_train.jsonl").read_text().splitlines()[:60]
        pairs.write_text("\n".join(lines) + "\n")
    for _ in range(count):
        seed = len(read(log)) + 1
        env = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder.resolve()}/mlflow.db",
               "PARLEY_OUTPUTS": str(folder.resolve() / "outputs")}  # fmt: skip
        settings = {"dataset": pairs, "test_dataset": "clean", "base_model": "bundled", "seed": seed,
                    "register_as": "same"}  # fmt: skip
        start = time.perf_counter()
        command = [sys.executable, "-m", "steps.pirate", *(f"--{name}={value}" for name, value in settings.items())]
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        [line] = [each for each in done.stdout.splitlines() if each.startswith("Version")]
        [verdict] = [each for each in done.stdout.splitlines() if each.startswith("Verdict")]
        append(log, {"seed": seed, "seconds": time.perf_counter() - start, "moved": "it is the champion now" in line,
                     "verdict": verdict, "line": line})  # fmt: skip


def winners(folder: Path) -> np.ndarray:
    """Whether run ``[j]`` would take the alias from run ``[i]``, by chrF: ``[i, j]``."""
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder.resolve()}/mlflow.db"
    from registry import row_statistics, versions

    kept = [row_statistics.load(each.run_id)["chrf"] for each in versions.versions("same")]
    wins = np.zeros((len(kept), len(kept)), dtype=bool)
    for (i, first), (j, second) in permutations(enumerate(kept), 2):
        change = metrics.change("chrf", first, second)
        wins[i, j] = change is not None and change.is_increase
    return wins


def between(wins: np.ndarray) -> tuple[float, float]:
    """95 % interval of the share of ordered pairs, by the jackknife over runs, since a run is in many pairs."""
    from scipy.stats import t

    n, total = len(wins), int(wins.sum())
    left_out = (total - wins.sum(0) - wins.sum(1)) / ((n - 1) * (n - 2))
    share, error = total / (n * (n - 1)), float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    half = float(t.ppf(0.975, n - 1)) * error
    return max(0.0, share - half), share + half


def show(out: Path, folder: Path | None) -> None:
    """Tables of what was found."""
    lines = read(out)
    show_coverage(lines, (*SHARES, *SHAPES))
    for line in lines:
        if line.get("few_discordant", 0) > 0.01:
            print(f"{line['shape']}, n = {line['n']}: fewer than 4 discordant rows in {line['few_discordant']:.3f}")
        if line["kind"] == "power":
            print(f"{line['shape']}, n = {line['n']}: a fall of {line['effect']:.3f} is found in {line['found']:.3f}")
    if folder:
        done = read(folder / "runs.jsonl")
        moved = Share(sum(line["moved"] for line in done[1:]), len(done) - 1)
        low, high = moved.interval(0.025)
        healthy = sum(line["verdict"].split()[1] == "healthy:" for line in done)
        print(f"runs: {moved.hits} of {moved.n} moved the champion ({low:.3f} to {high:.3f}, exact); {healthy} healthy")
        wins = winners(folder)
        (low, high), runs_ = between(wins), len(wins)
        print(f"ordered pairs of runs that would: {int(wins.sum())} of {runs_ * (runs_ - 1)}, "
              f"{wins.sum() / (runs_ * (runs_ - 1)):.3f} ({low:.3f} to {high:.3f}, runs left out in turn); "
              f"at most {MOST_MOVED}")  # fmt: skip


def show_coverage(lines: Sequence[Mapping[str, Any]], shapes: Sequence[str]) -> None:
    """A table of the coverage of each shape by the number of rows."""
    print("| shape | " + " | ".join(f"n = {n}" for n in ROWS) + " |\n| --- |" + " ---: |" * len(ROWS))
    for name in shapes:
        cells = {line["n"]: line for line in lines if line["shape"] == name}
        shown = [_covered(cells.get(n)) for n in ROWS]
        print(f"| {name} | {' | '.join(shown)} |")


def _covered(line: Mapping[str, Any] | None) -> str:
    if line is None:
        return ""
    missing = "" if line["intervals"] == line["trials"] else f" ({line['intervals']} of {line['trials']} have one)"
    mark = "" if COVERED[0] <= line["covered"] <= COVERED[1] else "*"
    return f"{line['covered']:.3f}{mark}{missing}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulate", "runs", "show"))
    parser.add_argument("--out", type=Path, default=Path("outputs/false_alarms.jsonl"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--count", type=int, default=5)
    asked = parser.parse_args()
    if asked.what == "simulate":
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        simulate(asked.out, asked.only, asked.minutes)
    elif asked.what == "runs":
        runs(asked.folder, asked.count)
    else:
        show(asked.out, asked.folder)


if __name__ == "__main__":
    main()
