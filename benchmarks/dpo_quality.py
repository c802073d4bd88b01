"""What training on preferences reaches with default settings: three seeds, from a version with wordy answers.

Run from the project's root::

    python -m benchmarks.dpo_quality [--base smollm2] [--seeds 7 8 9] [--store FOLDER] [-- --epochs 2 ...]

Fine-tunes the base on the wordy answers of the bundled set ``terse`` (one epoch), trains on its 300 preferences from
there, once a seed, and prints what the bundled bounds say. Each training is the whole command, ``steps.dpo``. With
``--store`` its runs are kept: seeds that are there are not trained again, a training that was interrupted goes on.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SET = ROOT / "data" / "sets" / "terse"
START = "wordy"
#: Least reward accuracy, largest share of the start's words, and largest loss of ROUGE-1 recall.
ACCURACY, WORDS, RECALL = 0.9, 0.6, 0.05
SHOWN = ("reward_accuracy", "reward_margin", "log_probs_chosen", "log_probs_rejected", "answer_words", "rouge1_recall",
         "content_rate", "chrf", "stop_rate", "loop_rate")  # fmt: skip


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    parser.add_argument("--store", default="")
    parser.add_argument("--no_base", action="store_true", help="do not generate the base's own answers")
    args, given = parser.parse_known_args()
    given = [word for word in given if word != "--"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.store or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        os.environ["PARLEY_OUTPUTS"] = str(folder / "outputs")
        train(folder, args.base, args.seeds, given)
        show(found_runs(), {} if args.no_base else base_answers(args.base))


def train(folder: Path, base: str, seeds: list[int], given: list[str]) -> None:
    """The start, where the store has none, and the seeds that are missing."""
    runs = found_runs()
    if not any(tags.get("registered_version") == f"{START}/1" for tags in (run["tags"] for run in runs)):
        rows = [f"--{name}={SET / file}" for name, file in
                (("dataset", "wordy_train.jsonl"), ("test_dataset", "wordy_test.jsonl"))]  # fmt: skip
        step(folder, "pirate", *rows, f"--base_model={base}", "--epochs=1", "--suites=none", f"--register_as={START}")
    for seed in seeds:
        here = [run for run in runs if is_dpo(run) and run["params"].get("seed") == str(seed)]
        if any("registered_version" in run["tags"] for run in here):
            continue
        if here:
            step(folder, "dpo", f"--resume={here[-1]['run_id']}")
        else:
            step(folder, "dpo", f"--start={START}/1", f"--seed={seed}", "--suites=none", "--max_new_tokens=72", *given)


def step(folder: Path, name: str, *flags: str) -> None:
    """Run an entry point to its end; the store is that of the environment."""
    command = [sys.executable, "-m", f"steps.{name}", *flags]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if done.returncode:
        sys.exit(done.returncode)


def found_runs() -> list[dict[str, Any]]:
    """Every run of the store with its scores, the oldest first."""
    from mlflow.tracking import MlflowClient

    from registry import evaluation_run

    client = MlflowClient()
    every = client.search_runs([each.experiment_id for each in client.search_experiments()])
    runs = [
        {"run_id": run.info.run_id, "tags": run.data.tags, "params": run.data.params, "metrics": run.data.metrics}
        for run in evaluation_run.with_scores(every)
    ]
    return runs[::-1]


def is_dpo(run: dict[str, Any]) -> bool:
    """Whether it is a training on preferences."""
    return run["params"].get("start") == f"{START}/1"


def base_answers(base: str) -> dict[str, float]:
    """Words and ROUGE-1 recall of the own answers of the base to the reported prompts."""
    import numpy as np

    from evals import metrics
    from evals.generation import Decoding, answer
    from evals.preference_metrics import PreferenceData
    from recipes.dpo.config import DpoConfig
    from recipes.dpo.data import load
    from train import base_model

    rows = load(DpoConfig()).test
    model, tokenizer = base_model.load(base_model.resolve(base), "cpu")
    texts = [each.text for each in answer(model, tokenizer, rows, Decoding(72))]
    none = np.zeros((len(rows), 2))
    data = PreferenceData(none, none, none, 1.0, texts, [row.response for row in rows])
    found = {}
    for name in ("answer_words", "rouge1_recall"):
        found[name] = metrics.METRICS[name].compute(data)
    return found


def show(runs: list[dict[str, Any]], base: dict[str, float]) -> None:
    """Print one line a metric: base, start, each seed with its change's interval; then what was met."""
    done = sorted((run for run in runs if is_dpo(run) and "registered_version" in run["tags"]),
                  key=lambda run: int(run["params"]["seed"]))  # fmt: skip
    for run in done:
        kept = {name: run["params"][name] for name in ("seed", "lr", "epochs", "beta", "sft_weight", "loss")}
        print(f"{run['tags']['registered_version']}: {json.dumps(kept)}, verdict {run['tags']['verdict']}")
    for name in SHOWN:
        start = done[0]["metrics"].get(f"base/{name}", float("nan"))
        line = f"{name:20} base {base.get(name, float('nan')):7.3f}  start {start:7.3f}  tuned"
        print(line + "".join(f"  {_with_change(run['metrics'], name)}" for run in done))
    for run in done:
        print(f"seed {run['params']['seed']}: {verdicts(run['metrics'])}")


def _with_change(found: dict[str, float], name: str) -> str:
    """The tuned model's value, and the interval of its change from the start."""
    text = f"{found.get(f'test/{name}', float('nan')):.3f}"
    low, high = (found.get(f"change/{name}_{end}") for end in ("low", "high"))
    return text if low is None or high is None else f"{text} ({low:+.3f} to {high:+.3f})"


def verdicts(found: dict[str, float]) -> str:
    """What the bundled set's bounds say of one training."""
    accuracy = found["test/reward_accuracy"]
    words = found["test/answer_words"] / found["base/answer_words"]
    lost = found["base/rouge1_recall"] - found["test/rouge1_recall"]
    said = [
        (f"reward accuracy {accuracy:.3f} >= {ACCURACY}", accuracy >= ACCURACY),
        (f"words {words:.2f} of the start's <= {WORDS}", words <= WORDS),
        (f"ROUGE-1 recall lost {lost:+.3f} <= {RECALL}", lost <= RECALL),
    ]
    return "; ".join(f"{text} {'met' if met else 'MISSED'}" for text, met in said)


if __name__ == "__main__":
    main()
