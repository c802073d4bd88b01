"""The supervisor: starts a worker process for each job that may be trained, and handles the end of each."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from data.processes import child_environment
from registry import runs
from serve.config import ServeConfig
from serve.store import jobs
from serve.store.database import Database
from serve.store.tables import FINISHED
from serve.training import worker

POLL_S = 0.5
NICE = 10
GRACE_S = 10.0  # between the signal to stop and the kill
MAX_CRASHES = 3
MAX_BACKOFF_S = 60.0
#: Environment variables of the server that a worker must not inherit.
NOT_INHERITED = ("MLFLOW_RUN_ID", "PARLEY_SERVE_KEY")
QUIET = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "MLFLOW_LOGGING_LEVEL": "WARNING",
         "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}  # fmt: skip


@dataclass
class _Worker:
    job_id: str
    process: subprocess.Popen[bytes]
    log: Path
    stopped_s: float = 0.0  # when it got the signal to stop


@dataclass(frozen=True)
class _Backoff:
    """When a job may be started again (monotonic seconds), after how many attempts that failed.

    Not a retry of tenacity's: no call waits meanwhile, other jobs are served.
    """

    until_s: float = 0.0
    attempts: int = 0

    def next(self) -> "_Backoff":
        """After one more attempt: waits of 0, 1, 3, 7 ... seconds, up to a minute."""
        return _Backoff(time.monotonic() + min(MAX_BACKOFF_S, 2.0**self.attempts - 1), self.attempts + 1)


class Supervisor:
    """Runs up to ``config.trainers`` workers at once, in a thread of its own.

    Args:
        database: where the jobs are.
        outputs: folder of what interrupted runs need to be continued.
    """

    def __init__(self, database: Database, config: ServeConfig, outputs: Path) -> None:
        self.database, self.config, self.outputs = database, config, outputs
        self._workers: dict[str, _Worker] = {}
        self._backoffs: dict[str, _Backoff] = {}
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the thread; jobs that were running when a server was killed are continued."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the jobs now: one was created, or its status changed."""
        self._wake.set()

    def close(self) -> None:
        """Stop all workers; their jobs stay as they are, for the next server."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stop(list(self._workers.values()))
        until_s = time.monotonic() + GRACE_S
        for each in self._workers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(max(0.0, until_s - time.monotonic()))
            each.process.kill()
            each.process.wait()

    def _run(self) -> None:
        self._remove_leftovers()
        while not self._closed:
            try:
                self._step()
            except Exception:  # such as a database that does not answer: it is tried again
                traceback.print_exc()
            self._wake.wait(POLL_S)
            self._wake.clear()

    def _remove_leftovers(self) -> None:
        """Remove what jobs that have ended left on the disk where server and worker were killed."""
        with contextlib.suppress(SQLAlchemyError):
            for row in jobs.with_status(self.database, "succeeded", "cancelled"):
                (self.outputs / "serve" / f"{row['id']}.log").unlink(missing_ok=True)
                if row["run_id"]:
                    shutil.rmtree(self.outputs / row["run_id"], ignore_errors=True)

    def _step(self) -> None:
        """Handle workers that have ended, stop those whose job may not run, and start those that may."""
        for each in list(self._workers.values()):
            if each.process.poll() is not None:
                del self._workers[each.job_id]
                self._ended(each)
        runnable = self._runnable()
        self._stop([each for job_id, each in self._workers.items() if job_id not in runnable])
        for job_id in runnable:
            if len(self._workers) >= self.config.trainers or self._closed:
                return
            if job_id not in self._workers and time.monotonic() >= self._backoffs.get(job_id, _Backoff()).until_s:
                self._workers[job_id] = self._start_worker(job_id)

    def _runnable(self) -> list[str]:
        """Ids of the jobs that may be trained, running ones first, oldest first; new jobs are put into the queue."""
        for row in jobs.with_status(self.database, "validating_files"):
            jobs.queue(self.database, row["id"])
        rows = jobs.with_status(self.database, "queued", "running")
        return [row["id"] for row in sorted(rows, key=lambda row: row["status"] != "running")]

    def _start_worker(self, job_id: str) -> _Worker:
        folder = self.outputs / "serve"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{job_id}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", worker.__name__, job_id],
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                # A Ctrl-C in the terminal is the server's to pass on. A session of its own would be shielded from it
                # as well, but Linux shares out the CPU by sessions first, and a low priority counts within one only.
                process_group=0,
            )
        settings = {
            "database": self.database.url, "outputs": str(self.outputs), "nice": NICE,
            "threads": self.config.trainer_threads, "checkpoints": self.config.checkpoints,
            "load": self.config.load,
        }  # fmt: skip
        with contextlib.suppress(BrokenPipeError):  # it has ended already, which the next step handles
            _input(process).write(json.dumps(settings).encode() + b"\n")
            _input(process).flush()
        return _Worker(job_id, process, log)

    def _environment(self) -> dict[str, str]:
        return child_environment(NOT_INHERITED, OMP_NUM_THREADS=str(self.config.trainer_threads), **QUIET)

    def _stop(self, workers: Sequence[_Worker]) -> None:
        """Send each the signal to stop, and kill those that got it more than ``GRACE_S`` seconds ago."""
        for each in workers:
            if not each.stopped_s:
                each.stopped_s = time.monotonic()
                each.process.send_signal(signal.SIGTERM)
            elif time.monotonic() - each.stopped_s > GRACE_S:
                each.process.kill()

    def _ended(self, ended: _Worker) -> None:
        """Remove what a job that has ended leaves, or set when it is tried again, or make it fail after crashes."""
        job_id, code = ended.job_id, ended.process.returncode
        _input(ended.process).close()
        is_crash = code not in (worker.DONE, worker.STOPPED, worker.LATER) and not ended.stopped_s
        with self.database.write() as connection:
            row = jobs.row_of(connection, job_id)
            is_crash = is_crash and jobs.update_running(connection, job_id, crashes=row["crashes"] + 1)
        if row["status"] in FINISHED or code in (worker.DONE, worker.STOPPED):
            self._backoffs.pop(job_id, None)
            self._remove_files(row["status"], row["run_id"], job_id, code)
            return
        self._backoffs[job_id] = self._backoffs.get(job_id, _Backoff()).next()
        if is_crash and row["crashes"] >= MAX_CRASHES:
            self._fail(ended, row["run_id"])

    def _fail(self, ended: _Worker, run_id: str | None) -> None:
        lines = ended.log.read_text(errors="replace").strip().splitlines() or ["its log is empty"]
        message = f"The trainer ended unexpectedly {MAX_CRASHES + 1} times at the same place: {lines[-1][:300]}"
        jobs.fail(self.database, ended.job_id, "server_error", message)
        if run_id:
            runs.end(run_id, "FAILED")

    def _remove_files(self, status: str, run_id: str | None, job_id: str, code: int) -> None:
        """Remove log, lock and, of a cancelled job, the run's folder."""
        if status in FINISHED:
            for name in (f"{job_id}.lock", f"{job_id}.log"):
                (self.outputs / "serve" / name).unlink(missing_ok=True)
        if status == "cancelled" and run_id:
            shutil.rmtree(self.outputs / run_id, ignore_errors=True)
            if code != worker.STOPPED:
                runs.end(run_id, "KILLED")


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin
    return process.stdin
