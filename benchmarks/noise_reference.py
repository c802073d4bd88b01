"""TF-IDF on the real IMDB with wrong labels: accuracy, memory and detection against the figures that are known.

Run from the project's root, with IMDB's two files (``text`` and ``label``, JSONL or JSONL.gz)::

    python -m benchmarks.noise_reference --train FOLDER/imdb_train.jsonl.gz --test FOLDER/imdb_test.jsonl.gz

25,000 rows each, all of them, symmetric noise at seven rates with three seeds. The words are weighted once, since no
label takes part in that; then the regression is fitted 19 times (rate 0 has nothing to draw), and five times more
for each out-of-fold detection. Exits with 1 where a bound is missed.
"""

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from data.corruption import Noise, corrupt
from data.formats import reviews
from data.labelled import LabelledRow
from evals import classification, label_errors
from recipes.noisy_labels import tfidf

#: Accuracy by rate, means of three seeds.
REFERENCE = {0.0: 0.888, 0.1: 0.877, 0.2: 0.855, 0.3: 0.805, 0.4: 0.694, 0.45: 0.607, 0.5: 0.497}
NEAR = 0.01
DETECTION_RATE, LEAST_AUROC = 0.2, 0.93
Cell = dict[str, float | None]


def main() -> None:
    """Fit every cell, print each as it ends, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rates", type=float, nargs="+", default=list(REFERENCE))
    parser.add_argument(
        "--detect_at", type=float, nargs="*", default=[DETECTION_RATE], help="rates to detect and prune"
    )
    args = parser.parse_args()
    start = time.perf_counter()
    (train, _), (test, _) = reviews.read(args.train), reviews.read(args.test)
    vectors = tfidf.Vectors(train, others=test)
    words = len(vectors.words)
    print(f"{len(train):,} + {len(test):,} rows, {words:,} words, ready after {time.perf_counter() - start:.0f} s")
    cells: dict[float, list[Cell]] = {}
    for rate in args.rates:
        for seed in args.seeds if rate else args.seeds[:1]:
            began = time.perf_counter()
            found = cell(vectors, train, test, Noise("symmetric", rate, seed), rate in args.detect_at)
            cells.setdefault(rate, []).append(found)
            figures = "  ".join(f"{key} {value:.3f}" for key, value in found.items() if value is not None)
            print(f"rate {rate:<4g} seed {seed}  {figures}  ({time.perf_counter() - began:.1f} s)", flush=True)
    sys.exit(not table(cells))


def cell(
    vectors: tfidf.Vectors, train: list[LabelledRow], test: list[LabelledRow], noise: Noise, detected: bool
) -> Cell:
    """All figures of one rate and seed."""
    corrupted = corrupt(train, noise)
    given, truth = [row.label for row in corrupted.rows], list(corrupted.originals)
    learner = vectors.fit(corrupted.rows, given)
    report = classification.evaluate(
        [row.label for row in test], classification.from_probabilities(learner.p_positive(test))
    )
    on_train = learner.p_positive(train)
    found: Cell = {key: getattr(report, key) for key in ("accuracy", "auc", "ece", "mean_confidence")}
    found |= asdict(label_errors.memory((on_train > 0.5).astype(int).tolist(), given, truth))
    found["in_sample"] = label_errors.detect(label_errors.losses(on_train, given), corrupted.flipped).auroc
    if detected and any(corrupted.flipped):
        scores = label_errors.losses(label_errors.out_of_fold(vectors.fit, corrupted.rows, given, noise.seed), given)
        seen = label_errors.detect(scores, corrupted.flipped)
        pruned = label_errors.prune_and_retrain(
            vectors.fit, corrupted.rows, truth, scores, noise.rate, test, before=learner
        )
        found |= {"out_of_fold": seen.auroc, "auprc": seen.auprc, "pruned_accuracy": pruned.accuracy_after}
    return found


def table(cells: dict[float, list[Cell]]) -> bool:
    """Print bound, measured, met; whether all are."""
    lines = []
    for rate, found in cells.items():
        if rate in REFERENCE:
            measured = fmean(one["accuracy"] or 0.0 for one in found)
            met = abs(measured - REFERENCE[rate]) <= NEAR
            lines.append((f"accuracy at rate {rate:g}", f"{REFERENCE[rate]:.3f} +- {NEAR:g}", measured, met))
        aurocs = [auroc for one in found if (auroc := one.get("out_of_fold")) is not None]
        if rate == DETECTION_RATE and aurocs:
            name = f"out-of-fold detection at rate {rate:g}"
            lines.append((f"{name}, lowest seed", f">= {LEAST_AUROC:g}", min(aurocs), min(aurocs) >= LEAST_AUROC))
    print(f"\n{'what':46} {'bound':>14} {'measured':>9}  met")
    for what, bound, measured, met in lines:
        print(f"{what:46} {bound:>14} {measured:>9.4f}  {'met' if met else 'MISSED'}")
    return all(met for *_, met in lines)


if __name__ == "__main__":
    main()
