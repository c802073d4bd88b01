"""Sets a run's final status after ``mlflow run``, which sets the status of the run it made when its command has ended.

It means to leave a run that has ended unchanged but compares a status' name with its number (MLflow 3.17), so KILLED
becomes FAILED, and a run that was removed meanwhile makes ``mlflow run`` itself fail. A small process that outlives
both therefore removes the run or sets KILLED afterwards.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from data.processes import ROOT, child_environment, collect_rarely

TIMEOUT_S = 30.0
#: action -> the statuses that show that ``mlflow run`` has set its own
AFTER = {"remove": ("FINISHED", "FAILED", "KILLED"), "kill": ("FAILED",)}


def later(action: str, run_id: str, tracking_uri: str) -> None:
    """After this process has ended and ``mlflow run`` has set its status, ``remove`` the run or set it to KILLED."""
    python = sys.executable if find_spec("mlflow") else str(ROOT / ".venv/bin/python")
    if not Path(python).is_file():
        return  # nothing here has MLflow: the run stays as mlflow run leaves it
    subprocess.Popen(
        [python, "-m", "registry.run_finalizer", action, run_id, str(os.getpid())],
        env=child_environment(MLFLOW_TRACKING_URI=tracking_uri),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in the terminal is not meant for it
    )


def main(argv: Sequence[str]) -> None:
    """``action run_id pid``: wait for the process to end, then for the status to be set, and act."""
    collect_rarely()
    action, run_id, pid = argv
    while _is_alive(int(pid)):
        time.sleep(0.2)
    from mlflow.tracking import MlflowClient  # only now: it would stay in memory for hours

    from registry.store import retry_locked

    client = MlflowClient()
    until = time.monotonic() + TIMEOUT_S
    while retry_locked(lambda: client.get_run(run_id)).info.status not in AFTER[action] and time.monotonic() < until:
        time.sleep(0.2)
    if action == "remove":
        retry_locked(lambda: client.delete_run(run_id))
    else:
        retry_locked(lambda: client.set_terminated(run_id, "KILLED"))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    main(sys.argv[1:])
