"""Wall time, processor time and peak memory of whole entry points, each a process of its own with an empty store.

    python benchmarks/hardware.py [--only bundled] [--base FOLDER]

Prints one row of a Markdown table each. ``--base`` adds a run with the model in FOLDER. The load before a run is
printed too: a machine that has other work gives longer times, and about the same processor time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ("--base_model", "bundled")
RUNS: dict[str, tuple[str, ...]] = {
    "pirate, SmolLM2-135M, LoRA, 2 epochs of 250 rows": ("pirate", "--base_model", "smollm2"),
    "pirate, bundled, LoRA, 8 epochs of 250 rows": ("pirate", *BUNDLED),
    "pirate, bundled, all weights, 8 epochs of 250 rows": ("pirate", *BUNDLED, "--method", "full"),
    "noisy, TF-IDF, 1,000 rows, 5 folds": ("noisy", "--learner", "tfidf", "--rate", "0.3"),
    "noisy, bundled, LoRA, 3 epochs of 1,000 rows": ("noisy", *BUNDLED, "--rate", "0.3"),
    "study, TF-IDF, 21 cells of 1,000 rows": ("study",),
    "autopsy": ("autopsy",),
}


def measured(arguments: tuple[str, ...]) -> tuple[float, float, float]:
    """(wall seconds, processor seconds, peak resident GiB of the largest process) of one entry point."""
    with tempfile.TemporaryDirectory(prefix="hardware-") as name:
        folder = Path(name)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PARLEY"))}
        env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "PYTHONPATH": str(ROOT)}
        with (folder / "log.txt").open("w") as log:
            start = perf_counter()
            command = [sys.executable, "-m", f"steps.{arguments[0]}", *arguments[1:]]
            process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = perf_counter() - start
        if status:
            raise SystemExit((folder / "log.txt").read_text())
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="runs whose name holds this text")
    parser.add_argument("--base", default="", help="folder of one more base model")
    args = parser.parse_args()
    runs = dict(RUNS)
    if args.base:
        runs[f"pirate, {Path(args.base).name}, LoRA, 250 rows"] = ("pirate", "--base_model", args.base)
    print("| run | wall time | processor time | peak memory | load before |\n| --- | ---: | ---: | ---: | ---: |")
    for name, arguments in runs.items():
        if args.only in name:
            busy = os.getloadavg()[0]
            wall, cpu, memory = measured(arguments)
            print(f"| {name} | {wall:.0f} s | {cpu:.0f} s | {memory:.1f} GiB | {busy:.1f} |", flush=True)


if __name__ == "__main__":
    main()
