"""The whole way through OpenAI's API without OpenAI: `mlflow run . -e noisy -P provider=parley` from an empty store.

    python -m benchmarks.noisy_parley              # rates 0.5 (the default) and 0
    python -m benchmarks.noisy_parley 0

Told are the seconds from the command to each stage, how many points of the loss curve were in the store before the job
had ended, and what the base and the tuned model score. Bound: 300 s.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tests.processes import ROOT

BOUND_S = 300.0
#: What a line of the client begins with when a stage is reached.
STAGES = {
    "rows checked": r"Job +on ",
    "server up": r"Job +\S+ validating",
    "job done": r"Job +\S+ succeeded",
    "all asked": r"Trained ",
}


class Watch(threading.Thread):
    """Looks every second how many points of the loss curve the store has."""

    def __init__(self, uri: str, run_id: str):
        super().__init__(daemon=True)
        self.client, self.run_id, self.points, self.ended = MlflowClient(uri), run_id, [], threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(1.0):
            with contextlib.suppress(MlflowException):
                self.points.append(len(self.client.get_metric_history(self.run_id, "train/loss")))


def measure(rate: str) -> None:
    with tempfile.TemporaryDirectory(prefix="parley-whole-") as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "OPENAI"))}
        env |= {"MLFLOW_TRACKING_URI": uri, "PARLEY_OUTPUTS": f"{folder}/outputs", "PYTHONUNBUFFERED": "1"}
        env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
        command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "noisy", "--env-manager", "local"]
        command += ["-P", "provider=parley", "-P", f"rate={rate}"]
        start, seen, lines, watch = time.monotonic(), {}, 0, None
        with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                lines += 1
                run = re.match(r"Run (\w+)", line)
                if run:
                    watch = Watch(uri, run[1])
                for stage, pattern in STAGES.items():
                    if stage not in seen and re.match(pattern, line):
                        seen[stage] = time.monotonic() - start
                        if stage == "job done" and watch:
                            watch.ended.set()
                if line.startswith(("  accuracy", "  AUC", "Verdict")):
                    print("  " + line.rstrip())
        whole_s = time.monotonic() - start
        assert process.returncode == 0 and watch
        found = MlflowClient(uri).get_run(watch.run_id)
        versions = MlflowClient(uri).search_model_versions("name = 'noisy'")
        growing = len(set(watch.points))
        print(
            f"rate {rate}: {whole_s:.0f} s in all (bound {BOUND_S:.0f}); "
            + ", ".join(f"{stage} {at:.0f}" for stage, at in seen.items())
            + f"; {lines} lines; the curve grew {growing - 1} times while it ran, to {max(watch.points)} points; "
            f"{len(versions)} versions, run {found.info.status}",
            flush=True,
        )


if __name__ == "__main__":
    for each in sys.argv[1:] or ["0.5", "0"]:
        measure(each)
