"""What training on preferences reaches with default settings: three seeds, from a version with wordy answers.

Run from the project's root::

    python -m benchmarks.dpo_quality --store FOLDER [--base smollm2] [--seeds 7 8 9] [-- --beta 0.2 ...]

Fine-tunes the base on the wordy answers of the bundled set ``terse`` (one epoch of ``-e pirate``), trains on its 300
preferences from there once a seed, as ``-e dpo`` does, and prints every metric of the held-out preferences with the
interval of its change, and what became of the bounds. Nothing but the start is registered. What is in ``--store`` is
not computed again: a benchmark that was interrupted goes on.
"""

import argparse
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SET = ROOT / "data" / "sets" / "terse"
START = "wordy"
#: Least reward accuracy, largest share of the start's words, and largest loss of ROUGE-1 recall.
ACCURACY, WORDS, RECALL = 0.9, 0.6, 0.05
SHOWN = ("reward_accuracy", "reward_margin", "log_probs_chosen", "log_probs_rejected", "answer_words", "rouge1_recall",
         "content_rate", "stop_rate", "loop_rate")  # fmt: skip


class Curve:
    """A tracker that prints evaluations."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Print ``metrics`` of validation rows."""
        found = {name: round(value, 3) for name, value in metrics.items() if name.startswith("eval/")}
        if found:
            print(f"  step {step}: {found}", flush=True)

    def flush(self) -> None:
        """Nothing is buffered."""


def main() -> None:
    """Train what is missing and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", required=True)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    args, given = parser.parse_known_args()
    settings = dict(word.removeprefix("--").split("=", 1) for word in given if word != "--")
    folder = Path(args.store).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    os.environ["PARLEY_OUTPUTS"] = str(folder / "outputs")
    make_start(folder, args.base)
    for seed in args.seeds:
        show(seed, *measured(folder, args.base, seed, settings))


def make_start(folder: Path, base: str) -> None:
    """The version that all seeds start from, where the store has none."""
    from registry import versions

    if versions.versions(START):
        return
    rows = [f"--dataset={SET / 'wordy_train.jsonl'}", f"--test_dataset={SET / 'wordy_test.jsonl'}"]
    command = [sys.executable, "-m", "steps.pirate", *rows, f"--base_model={base}", "--epochs=1", "--suites=none"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, f"--register_as={START}"], cwd=folder, env=env, check=True)


def measured(folder: Path, base: str, seed: int, settings: dict[str, str]) -> tuple[Any, Any, Any, Any]:
    """The settings of a seed, and the scores of base, start and tuned model; what ``folder`` has is read."""
    from recipes.dpo.config import DpoConfig
    from recipes.dpo.run import prepare, with_preferences
    from recipes.sft.run import evaluate
    from steps.flags import parse
    from train import trainable
    from train.finetune import REFERENCE, finetune
    from train.losses import log_probs
    from train.resume import StateFolder

    flags = {"start": f"{START}/1", "seed": seed, "suites": "none", "max_new_tokens": 72, **settings}
    config = parse(DpoConfig, [f"--{name}={value}" for name, value in flags.items()])
    own = folder / " ".join([f"seed-{seed}", *(f"{name}={value}" for name, value in settings.items())])
    own.mkdir(exist_ok=True)
    job = prepare(config)

    def of_start() -> Any:
        return with_preferences(job, evaluate(job, job.base.model, "start"), job.before)

    def of_base() -> Any:
        with trainable.pristine(job.base.model):
            return with_preferences(job, evaluate(job, job.base.model, "base"), job.before)

    def of_tuned() -> Any:
        known = next(iter(folder.glob(f"*/{REFERENCE}")), None)
        if known and known.parent != own:
            shutil.copy(known, own)  # a function of the start and the rows
        rows, checks, test = job.preferences
        tuned = finetune(rows, checks, job.base, job.config, Curve(), StateFolder(own), job.loss)
        return with_preferences(job, evaluate(job, tuned.model, "tuned"), log_probs(tuned.model, test))

    # before training: it changes the weights of the start
    before = [kept(folder / name, make) for name, make in (("base.pickle", of_base), ("start.pickle", of_start))]
    return job, *before, kept(own / "tuned.pickle", of_tuned)


def kept(path: Path, make: Any) -> Any:
    """What is at ``path``, made where it is not there."""
    if not path.is_file():
        path.write_bytes(pickle.dumps(make()))
    return pickle.loads(path.read_bytes())


def show(seed: int, job: Any, base: Any, start: Any, tuned: Any) -> None:
    """Print one line a metric, the verdict, and what became of the bounds."""
    import numpy as np

    from evals import metrics, preference_verdict, side_effects
    from evals.verdict import decide_preferences
    from recipes.dpo.data import longer_share

    changes = metrics.changes(start.statistics, tuned.statistics, seed)
    before, after = (each.values["answer_words"] for each in (start, tuned))
    chosen = float(np.mean([len(row.response.split()) for row in job.rows.test]))
    found = preference_verdict.findings(changes, before, after, chosen, longer_share(job.rows.preferences[0]))
    effects = side_effects.find(changes, start.statistics, tuned.statistics)
    verdict = decide_preferences(start.values, tuned.values, [*found, *effects.findings], rows=len(job.rows.test))
    given = ", ".join(f"{name} {getattr(job.config, name):g}" for name in ("lr", "epochs", "beta", "sft_weight"))
    print(f"seed {seed}: {given}; {len(job.rows.test)} held-out pairs; verdict {verdict.name}")
    print("".join(f"  {reason}\n" for reason in verdict.reasons), end="")
    for name in SHOWN:
        values = [f"{each.values.get(name, float('nan')):8.3f}" for each in (base, start, tuned)]
        change = f"  change {changes[name].text('.3f')}" if name in changes else ""
        print(f"  {name:20} base, start, tuned {' '.join(values)}{change}")
    print(f"  {bounds(start.values, tuned.values)}", flush=True)


def bounds(start: dict[str, float], tuned: dict[str, float]) -> str:
    """What is wanted, and whether it was reached."""
    accuracy, share = tuned["reward_accuracy"], tuned["answer_words"] / start["answer_words"]
    lost = start["rouge1_recall"] - tuned["rouge1_recall"]
    said = [
        (f"reward accuracy {accuracy:.3f} >= {ACCURACY}", accuracy >= ACCURACY),
        (f"words {share:.2f} of the start's <= {WORDS}", share <= WORDS),
        (f"ROUGE-1 recall lost {lost:+.3f} <= {RECALL}", lost <= RECALL),
    ]
    return "; ".join(f"{text} {'met' if met else 'MISSED'}" for text, met in said)


if __name__ == "__main__":
    main()
