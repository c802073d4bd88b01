"""What wrong labels do to SmolLM2 on the real IMDB: accuracy, AUC, ECE and memorisation by the rate of flipped labels.

    python -m benchmarks.imdb_noise --imdb FOLDER --out FOLDER --rate 0.2 [-- --epochs 1 ...]
    python -m benchmarks.imdb_noise --out FOLDER

``--imdb`` has IMDB's two files. The first command is one run of ``-e noisy`` (LoRA of ``--base_model``, 1,000 training
rows, 500 test rows, symmetric noise); what follows ``--`` are further flags of it. A run that is stopped (by
``timeout`` or by hand) goes on from its last resume point when the same command is given again. One that ends
appends a line to ``results.jsonl`` in ``--out``, where its store is, too. Every command ends with the table of all
lines. For comparison, ``--base_model bundled`` is the toy and ``-- --learner tfidf`` is TF-IDF.

Bounds, for SmolLM2: accuracy at rate 0 at least .85; at rate .5 its interval holds .5. Exits with 1 where one is
missed, with 2 where a run was stopped.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient
from sklearn.metrics import roc_auc_score

from evals.intervals import wilson
from registry import evaluation_run

CLEAN = 0.85
RESAMPLES, LEVEL = 1000, 95
SETTINGS = {"n_train": 1000, "n_test": 500, "kind": "symmetric", "noise_seed": 42, "seed": 7}
Record = dict[str, Any]


def run(asked: argparse.Namespace, flags: list[str]) -> Record | None:
    """One run of ``-e noisy``, begun or resumed; None where it was stopped."""
    is_tfidf = "tfidf" in " ".join(flags)
    name = " ".join(["" if is_tfidf else asked.base_model, f"rate {asked.rate:g}", *flags]).strip()
    store = f"sqlite:///{asked.out.resolve()}/mlflow.db"
    env = os.environ | {"MLFLOW_TRACKING_URI": store, "PARLEY_OUTPUTS": str(asked.out.resolve() / "outputs")}
    notes = asked.out / "runs.json"
    begun = json.loads(notes.read_text()) if notes.exists() else {}
    settings = {**SETTINGS, "dataset": asked.imdb.resolve(), "rate": asked.rate}
    settings |= {} if is_tfidf else {"base_model": asked.base_model}
    command = [sys.executable, "-m", "steps.noisy", *(f"--{key}={value}" for key, value in settings.items()), *flags]
    if name in begun:
        command.append(f"--resume={begun[name]}")
    start = time.monotonic()
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            found = json.loads(notes.read_text()) if notes.exists() else {}
            for line in process.stdout:
                print(line.rstrip(), flush=True)
                if line.startswith("Run ") and name not in found:
                    notes.write_text(json.dumps(found | {name: line.split()[1]}))
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.communicate()  # until it has made its resume point
            return None
    if process.returncode:
        return None
    run_id = json.loads(notes.read_text())[name]
    return {"name": name, "rate": asked.rate, "seconds": time.monotonic() - start, **measured(store, run_id)}


def measured(store: str, run_id: str) -> Record:
    """The run's metrics, with the intervals that it does not log itself."""
    client = MlflowClient(store)
    runs = evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))
    metrics = next(run.data.metrics for run in runs if run.info.run_id == run_id)
    folder = Path(client.download_artifacts(run_id, "data"))
    rows = sum(1 for _ in (folder / "train.jsonl").open())
    table = json.loads(Path(client.download_artifacts(run_id, "eval_table.json")).read_text())
    columns = {name: [line[i] for line in table["data"]] for i, name in enumerate(table["columns"])}
    truth = np.array([each == "positive" for each in columns["true"]])
    found: Record = {"metrics": metrics}
    for side, column in (("base", "base_p"), ("test", "tuned_p")):
        found[f"{side}/auc_interval"] = auc_interval(truth, np.array(list(map(float, columns[column]))))
    flipped = round(metrics["detection/flipped_share"] * rows)
    if flipped:
        found["memorised_interval"] = wilson(round(metrics["train/memorised_share"] * flipped), flipped)
    return found


def auc_interval(truth: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    """The percentile bootstrap's interval over rows (Efron 1979), with a fixed seed."""
    draw = np.random.default_rng(0)
    values = []
    for _ in range(RESAMPLES):
        chosen = draw.integers(0, len(p), len(p))
        if 0 < truth[chosen].sum() < len(p):
            values.append(roc_auc_score(truth[chosen], p[chosen]))
    low, high = np.percentile(values, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def table(records: list[Record]) -> bool:
    """Print a line a run and the bounds; whether those that were measured are met."""
    bounds: dict[str, bool] = {}
    print("| run | accuracy | AUC | ECE | mean confidence | memorised | base: invalid | base: AUC | s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for record in sorted(records, key=lambda each: (each["name"].split()[0], each["rate"])):
        metrics = record["metrics"]
        accuracy = shown(metrics["test/accuracy"], (metrics["test/accuracy_low"], metrics["test/accuracy_high"]))
        ece = shown(metrics["test/ece"], (metrics.get("test/ece_low"), metrics.get("test/ece_high")))
        memorised = shown(metrics.get("train/memorised_share"), record.get("memorised_interval"))
        print(
            f"| {record['name']} | {accuracy} | {shown(metrics['test/auc'], record['test/auc_interval'])} | {ece} "
            f"| {metrics['test/mean_confidence']:.3f} | {memorised} | {metrics['base/invalid_rate']:.2f} "
            f"| {shown(metrics['base/auc'], record['base/auc_interval'])} | {record['seconds']:.0f} |"
        )
        if record["name"].startswith("smollm2") and record["rate"] == 0:
            bounds[f"clean at least {CLEAN}"] = metrics["test/accuracy"] >= CLEAN
        if record["name"].startswith("smollm2") and record["rate"] == 0.5:
            bounds["rate .5 within its interval of .5"] = (
                metrics["test/accuracy_low"] <= 0.5 <= metrics["test/accuracy_high"]
            )
    for what, met in bounds.items():
        print(f"{what}: {'met' if met else 'MISSED'}")
    return all(bounds.values())


def shown(value: float | None, interval: Any) -> str:
    """A value and its interval, as in ``.870 (.838 to .897)``."""
    if value is None:
        return ""
    if not interval or None in interval:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imdb", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--base_model", default="smollm2")
    asked, flags = parser.parse_known_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ``timeout`` stops the run as ctrl-C does
    asked.out.mkdir(parents=True, exist_ok=True)
    results = asked.out / "results.jsonl"
    if asked.imdb and asked.rate is not None:
        record = run(asked, [flag for flag in flags if flag != "--"])
        if record is None:
            sys.exit(2)
        with results.open("a") as lines:
            lines.write(json.dumps(record) + "\n")
    sys.exit(not table([json.loads(line) for line in results.read_text().splitlines()]))


if __name__ == "__main__":
    main()
