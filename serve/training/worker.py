"""``python -m serve.training.worker JOB``: the process that trains one job, started by the server.

The first line of its input is a JSON object with its settings. When the input ends, the server has ended, and this
process exits at once: the next server starts another one, which goes on from the last resume point. A lock on a file
keeps two processes from training one job.
"""

import fcntl
import json
import os
import signal
import sys
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from data.processes import collect_rarely, ignore_signal

#: Exit codes: the job has ended or was taken away; stopped by a signal; the tracking server is away, start again later.
DONE, STOPPED, LATER = 0, 130, 75


class Stopped(BaseException):
    """SIGTERM: the server stops this process."""


def main(argv: list[str]) -> int:
    """Train the job ``argv[0]``; returns the exit code."""
    collect_rarely()
    settings = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_server, daemon=True).start()
    signal.signal(signal.SIGTERM, _stop)
    os.nice(settings["nice"])
    warnings.filterwarnings("ignore", category=FutureWarning)
    outputs = Path(settings["outputs"])
    try:
        lock = _lock(outputs, argv[0])
        try:
            return _train(argv[0], settings, outputs)
        finally:
            lock.close()
    except Stopped:
        return STOPPED


def _end_with_server() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, ignore_signal)  # a second signal must not interrupt the clean-up
    raise Stopped


def _lock(outputs: Path, job_id: str) -> IO[str]:
    """Wait until no other process has the job."""
    folder = outputs / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / f"{job_id}.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _train(job_id: str, settings: Mapping[str, Any], outputs: Path) -> int:
    from serve.store import jobs
    from serve.store.database import Database
    from serve.training.progress import JobInterrupted

    database = Database(settings["database"])
    row = jobs.start(database, job_id)
    if row is None:
        return DONE
    from registry.errors import TrackingUnavailable
    from serve.training import finetune

    try:
        run = finetune.open_run(database, row, outputs)
    except TrackingUnavailable as error:
        print(error, file=sys.stderr)
        return LATER
    try:
        job = finetune.prepare(database, row, settings["threads"], settings["checkpoints"], settings["load"])
        finetune.train(database, job, run)
    except (Stopped, JobInterrupted):
        run.finish("KILLED")
        return STOPPED
    except TrackingUnavailable as error:
        print(error, file=sys.stderr)
        return LATER
    except Exception as error:
        return _failed(database, row, run, error)
    run.discard()
    return DONE


def _failed(database: Any, row: Mapping[str, Any], run: Any, error: Exception) -> int:
    """Fail the job for a ``UserError``; any other error is raised and ends this process only."""
    from data.errors import UserError
    from serve.store import jobs
    from serve.training import finetune
    from train.loop import Diverged

    if not isinstance(error, UserError):
        raise error
    param = error.param if isinstance(error, finetune.InvalidTrainingFile) else None
    code = f"invalid_{param}" if param else "training_diverged" if isinstance(error, Diverged) else "training_failed"
    run.fail(error)
    jobs.fail(database, row["id"], code, " ".join(str(error).splitlines()), param)
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
