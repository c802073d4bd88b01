"""What the main job reaches with the bundled base: three seeds, on the clean set and on pairs of one's own.

Run from the project's root::

    python -m benchmarks.pirate_quality [--pairs FILE] [--seeds 7 8 9] [-- --epochs 10 ...]

Every run is a real one, in a process of its own, tracked in a store that is thrown away. Besides quality it gives
the wall time of a whole run and the share that is neither training nor evaluation.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

CLEAN = {
    "lexicon_rate": (">=", 0.90),
    "content_rate": (">=", 0.85),
    "echo_rate": ("<=", 0.05),
    "loop_rate": ("<=", 0.03),
    "stop_rate": (">=", 0.97),
}
OWN = {
    "lexicon_rate": (">=", 0.80),
    "echo_rate": ("<=", 0.05),
    "loop_rate": ("<=", 0.03),
    "stop_rate": (">=", 0.95),
    "content_rate": (">=", 0.0),
}


def main() -> None:
    """Run every seed on every data set and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", default="", help="a pairs file to run besides the clean set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 8, 9])
    args, flags = parser.parse_known_args()
    flags = [flag for flag in flags if flag != "--"]
    for dataset, bounds in [("clean", CLEAN), *([(args.pairs, OWN)] if args.pairs else [])]:
        results = [run(dataset, seed, flags) for seed in args.seeds]
        show(Path(dataset).name, results, bounds)


def run(dataset: str, seed: int, flags: list[str]) -> dict[str, float | str]:
    """One run in a store of its own: every metric, the verdict, and its wall time in seconds."""
    with tempfile.TemporaryDirectory() as place:
        store, outputs = f"sqlite:///{place}/mlflow.db", f"{place}/outputs"
        env = {**os.environ, "MLFLOW_TRACKING_URI": store, "PARLEY_OUTPUTS": outputs}
        words = ["--dataset", dataset, "--base_model", "bundled", "--seed", str(seed), *flags]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "steps.pirate", *words], env=env, capture_output=True, text=True, cwd=os.getcwd()
        )
        wall_s = time.perf_counter() - start
        if done.returncode:
            sys.exit(done.stderr[-2000:])
        script = (
            "import json,mlflow,sys; r=mlflow.search_runs(search_all_experiments=True).iloc[0];"
            "found = {k[8:]: v for k, v in r.items() if k.startswith('metrics.')};"
            "print(json.dumps({**found, 'verdict': r['tags.verdict']}))"
        )
        read = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    return {**json.loads(read.stdout.splitlines()[-1]), "wall_s": wall_s}


def show(name: str, results: list[dict], bounds: dict[str, tuple[str, float]]) -> None:
    """Print one line a metric: base, each seed, mean, bound."""
    print(f"\n{name}: verdicts {', '.join(r['verdict'] for r in results)}")
    for key, (sign, bound) in bounds.items():
        values = [r.get(f"test/{key}", float("nan")) for r in results]
        base = results[0].get(f"base/{key}", float("nan"))
        met = all(v >= bound if sign == ">=" else v <= bound for v in values)
        tuned = f"tuned {_row(values)}  mean {mean(values):.3f}"
        print(f"  {key:13} base {base:.3f}  {tuned}  {sign} {bound:.2f} {_met(met)}")
    chrf = [r["test/chrf"] for r in results]
    rivals = max(results[0]["base/chrf"], results[0]["prompt/chrf"])
    ahead = min(chrf) - rivals
    print(
        f"  chrf          base {results[0]['base/chrf']:.1f}, prompt copied {results[0]['prompt/chrf']:.1f}  "
        f"tuned {' '.join(f'{c:.1f}' for c in chrf)}  ahead by {ahead:.1f} at least  >= 10 {_met(ahead >= 10)}"
    )
    wall = [r["wall_s"] for r in results]
    rest = [1 - (r["time/train_s"] + r["time/evaluate_s"]) / r["wall_s"] for r in results]
    print(f"  wall time     {' '.join(f'{w:.0f}' for w in wall)} s  < 180 {_met(max(wall) < 180)}")
    print(f"  start-up      {' '.join(f'{share:.2f}' for share in rest)} of it  < 0.25 {_met(max(rest) < 0.25)}")


def _row(values: list[float]) -> str:
    return " ".join(f"{v:.3f}" for v in values)


def _met(true: bool) -> str:
    return "met" if true else "MISSED"


if __name__ == "__main__":
    main()
