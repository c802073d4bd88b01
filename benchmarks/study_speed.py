"""How much faster a study of 16 TF-IDF cells is on two cores than in one process.

    python benchmarks/study_speed.py [--engines local,ray] [--dataset reviews] [--n-train 0] [--rounds 1]

Each study is a process of its own with an empty store, timed from its start to its end: imports, the 16 cells and the
page that answers. "one" has one worker and one thread. Small cells (--n-train 1000) gain less: imports stay as long.
The least time of the rounds counts. The cells of all studies must find the same figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
WANTED = 1.7
GRID = ["--kinds", "symmetric", "--rates", "0.1,0.3,0.5", "--seeds", "1,2,3,4", "--learners", "tfidf"]  # 4 x 4 cells


def one_study(dataset: str, n_train: int, *where: str) -> tuple[float, list[dict]]:
    """(seconds, what its cells found)."""
    with tempfile.TemporaryDirectory(prefix="study-speed-") as name:
        folder = Path(name)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PARLEY"))}
        env |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "PYTHONPATH": str(ROOT)}
        env |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        data = ["--dataset", dataset, "--n_train", str(n_train)]
        start = perf_counter()
        command = [sys.executable, "-m", "steps.study", *GRID, *data, *where]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        seconds = perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        found = json.loads(next(folder.rglob("cells_results.json")).read_text())
    return seconds, [{key: value for key, value in cell.items() if key != "run_id"} for cell in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engines", default="local,ray")
    parser.add_argument("--dataset", default="reviews")
    parser.add_argument("--n-train", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    ways = {"one": ("--jobs", "1")}
    ways |= {engine: ("--engine", engine, "--jobs", "2") for engine in args.engines.split(",")}
    least: dict[str, float] = {}
    figures: list[dict] = []
    for round_ in range(args.rounds):
        for name, where in ways.items():
            busy = os.getloadavg()[0]
            seconds, found = one_study(args.dataset, args.n_train, *where)
            figures = figures or found
            assert found == figures, f"{name}: the cells found something else"
            least[name] = min(seconds, least.get(name, seconds))
            print(f"round {round_ + 1}  {name:6} {seconds:7.1f} s   (load before: {busy:.1f})", flush=True)
    for name in list(ways)[1:]:
        gain = least["one"] / least[name]
        print(f"{name}: {gain:.2f}x one process, wanted {WANTED}x: {'yes' if gain >= WANTED else 'NO'}")


if __name__ == "__main__":
    main()
