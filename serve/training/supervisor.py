"""Who trains what: a thread that keeps as many trainers at work as there may be, whatever happens to them."""

import contextlib
import json
import os
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

from registry import runs
from serve.config import ServeConfig
from serve.store import jobs
from serve.store.database import Database
from serve.store.tables import FINISHED
from serve.training.worker import DONE, LATER, STOPPED

ROOT = Path(__file__).resolve().parents[2]
LOOK_S = 0.5
NICE = 10
GRACE_S = 10.0  # for a trainer to put its things in order
MOST_CRASHES = 3
LONGEST_WAIT_S = 60.0
QUIET = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "MLFLOW_LOGGING_LEVEL": "WARNING",
         "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}  # fmt: skip


@dataclass
class _Trainer:
    job_id: str
    process: subprocess.Popen[bytes]
    log: Path
    told_s: float = 0.0  # when it was told to stop


class Supervisor:
    """Starts a trainer for each job whose turn it is, ends those that may not run, and begins anew after crashes.

    Args:
        outputs: folder of what interrupted runs need to go on.
    """

    def __init__(self, database: Database, config: ServeConfig, outputs: Path) -> None:
        self.database, self.config, self.outputs = database, config, outputs
        self._trainers: dict[str, _Trainer] = {}
        self._not_before_s: dict[str, tuple[float, int]] = {}  # job: (when it may be tried again, tries that failed)
        self._wake, self._closed = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="foreman", daemon=True)

    def start(self) -> None:
        """Begin; jobs that a killed server left running go on."""
        self._thread.start()

    def look(self) -> None:
        """Something has changed: look now."""
        self._wake.set()

    def close(self) -> None:
        """Stop all trainers; their jobs go on when a server is there again."""
        self._closed = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._stop(list(self._trainers.values()))
        until = time.monotonic() + GRACE_S
        for each in self._trainers.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(max(0.0, until - time.monotonic()))
            each.process.kill()
            each.process.wait()

    def _work(self) -> None:
        self._sweep()
        while not self._closed:
            try:
                self._turn()
            except Exception:  # a database that is away: it is asked again
                traceback.print_exc()
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def _sweep(self) -> None:
        """Remove what a server and a trainer that were killed left of jobs that are over."""
        with contextlib.suppress(SQLAlchemyError):
            for row in jobs.with_status(self.database, "succeeded", "cancelled"):
                (self.outputs / "serve" / f"{row['id']}.log").unlink(missing_ok=True)
                if row["run_id"]:
                    shutil.rmtree(self.outputs / row["run_id"], ignore_errors=True)

    def _turn(self) -> None:
        for each in list(self._trainers.values()):
            if each.process.poll() is not None:
                del self._trainers[each.job_id]
                self._ended(each)
        turn = self._in_turn()
        self._stop([each for job_id, each in self._trainers.items() if job_id not in turn])
        for job_id in turn:
            if len(self._trainers) >= self.config.trainers or self._closed:
                return
            if job_id not in self._trainers and time.monotonic() >= self._not_before_s.get(job_id, (0.0, 0))[0]:
                self._trainers[job_id] = self._begin(job_id)

    def _in_turn(self) -> list[str]:
        """Jobs that may be trained now, those first that are running; new ones are moved into the queue."""
        for row in jobs.with_status(self.database, "validating_files"):
            jobs.queue(self.database, row["id"])
        rows = jobs.with_status(self.database, "queued", "running")
        return [row["id"] for row in sorted(rows, key=lambda row: row["status"] != "running")]

    def _begin(self, job_id: str) -> _Trainer:
        env = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_RUN_ID", "PARLEY_SERVE_KEY")}
        env |= {**QUIET, "OMP_NUM_THREADS": str(self.config.trainer_threads)}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
        folder = self.outputs / "serve"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{job_id}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "serve.training.worker", job_id],
                env=env,
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
        }  # fmt: skip
        with contextlib.suppress(BrokenPipeError):  # it has ended already, which is seen at the next turn
            _input(process).write(json.dumps(settings).encode() + b"\n")
            _input(process).flush()
        return _Trainer(job_id, process, log)

    def _stop(self, trainers: Sequence[_Trainer]) -> None:
        """Tell them to stop; those that were told long ago are killed."""
        for each in trainers:
            if not each.told_s:
                each.told_s = time.monotonic()
                each.process.send_signal(signal.SIGTERM)
            elif time.monotonic() - each.told_s > GRACE_S:
                each.process.kill()

    def _ended(self, trainer: _Trainer) -> None:
        """Whether the job of a trainer that is gone is over, or is to be tried again, and when."""
        job_id, code = trainer.job_id, trainer.process.returncode
        _input(trainer.process).close()
        with self.database.write() as connection:
            row = jobs.row_of(connection, job_id)
            crashed = code not in (DONE, STOPPED, LATER) and not trainer.told_s and row["status"] == "running"
            if crashed:
                jobs.update_running(connection, job_id, crashes=row["crashes"] + 1)
        if row["status"] in FINISHED or code in (DONE, STOPPED):
            self._not_before_s.pop(job_id, None)
            self._tidy(row["status"], row["run_id"], job_id, code)
            return
        tries = self._not_before_s.get(job_id, (0.0, 0))[1] + 1
        self._not_before_s[job_id] = time.monotonic() + min(LONGEST_WAIT_S, 2.0 ** (tries - 1) - 1), tries
        if crashed and row["crashes"] >= MOST_CRASHES:
            self._give_up(trainer, row["run_id"])

    def _give_up(self, trainer: _Trainer, run_id: str | None) -> None:
        last = (trainer.log.read_text(errors="replace").strip().splitlines() or ["it left no word"])[-1][:300]
        message = f"The trainer ended unexpectedly {MOST_CRASHES + 1} times at the same place: {last}"
        jobs.fail(self.database, trainer.job_id, "server_error", message)
        if run_id:
            runs.end(run_id, "FAILED")

    def _tidy(self, status: str, run_id: str | None, job_id: str, code: int) -> None:
        """Remove what nobody needs any more."""
        if status in FINISHED:
            for name in (f"{job_id}.lock", f"{job_id}.log"):
                (self.outputs / "serve" / name).unlink(missing_ok=True)
        if status == "cancelled" and run_id:
            shutil.rmtree(self.outputs / run_id, ignore_errors=True)
            if code != STOPPED:
                runs.end(run_id, "KILLED")


def _input(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin
    return process.stdin
