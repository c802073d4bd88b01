"""Steps that the page starts as processes of their own, as a terminal would: command, environment, and their last line.

A ``StepProcess`` outlives the page. What is known of it is in its folder: the lines that it printed, and a lock that it
holds as long as it lives, so that a page that is started anew finds it again.
"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from data.errors import UserError
from data.processes import child_environment
from data.progress import is_progress

#: Of an environment in which the page itself runs: what would be taken for the process's own.
NOT_INHERITED = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
FOLDER, LOG, STOPPED = "page_processes", "log", "Stopped"
_RUN = re.compile(r"^Run ([0-9a-f]{32})\b", re.MULTILINE)


def command(step: str, argv: Sequence[str]) -> list[str]:
    """The command of a step with these flags."""
    return [sys.executable, "-m", f"steps.{step}", *argv]


def flags(settings: Mapping[str, Any]) -> list[str]:
    """Settings as a step's flags."""
    return [f"--{name}={value}" for name, value in settings.items()]


def environment(outputs: Path) -> dict[str, str]:
    """The environment of a step whose runs are kept under ``outputs``."""
    return child_environment(NOT_INHERITED, PARLEY_OUTPUTS=str(outputs))


def last_line(text: str) -> str:
    """The last line that is no progress bar."""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line and not is_progress(line)), "")


@dataclass(frozen=True)
class StepProcess:
    """A step that is or was running. ``text``: what it printed; ``seconds``: how long, up to now or its last line."""

    is_running: bool
    text: str
    seconds: float

    @property
    def outcome(self) -> tuple[str, str]:
        """How one ended that left no result: ``stopped`` or ``failed``, and why it failed."""
        last = last_line(self.text)
        return ("stopped", "") if last.startswith(STOPPED) else ("failed", last or "it has ended without a word")

    @property
    def run_id(self) -> str:
        """The MLflow run that it writes; empty before it has one."""
        found = _RUN.search(self.text)
        return found[1] if found else ""


class Children:
    """Processes that this page has started; the exit codes of those that have ended are collected."""

    def __init__(self) -> None:
        self._alive: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def start(
        self, step: str, argv: Sequence[str], outputs: Path, log: BinaryIO, pass_fds: Sequence[int] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start a step that prints to ``log``; it outlives the page, and inherits ``pass_fds``."""
        process = subprocess.Popen(
            command(step, argv),
            env=environment(outputs),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in the page's terminal is not meant for it
            pass_fds=pass_fds,
        )
        with self._lock:
            self._alive.append(process)
        return process

    def collect(self) -> None:
        """Forget those that have ended."""
        with self._lock:
            self._alive = [process for process in self._alive if process.poll() is None]


class StepProcesses:
    """Starts, finds and stops steps, each under a name of its own that is given by what it makes."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self._children = outputs.absolute(), Children()

    def start(self, name: str, step: str, settings: Mapping[str, Any]) -> None:
        """Start a step under ``name``; what an earlier one of that name printed is replaced.

        Raises:
            UserError: one of that name is running.
        """
        from registry import run_process

        folder = self._folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / run_process.LOCK).open("a+") as held:
            if not run_process.lock(held):
                raise UserError(f"{name} is under way already")
            (folder / LOG).write_bytes(b"")
            with (folder / LOG).open("ab") as log:  # the process inherits the lock, and has it until its end
                process = self._children.start(step, flags(settings), self.outputs, log, [held.fileno()])
            run_process.note(held, process.pid)

    def find(self, name: str) -> StepProcess | None:
        """The newest step of this name; None where there was none."""
        from registry import run_process

        folder = self._folder(name)
        is_running = run_process.find(folder) is not None  # asked first: what it printed last is then in the text
        try:
            text = (folder / LOG).read_text(errors="replace")
            began, ended = (folder / run_process.LOCK).stat().st_mtime, (folder / LOG).stat().st_mtime
        except OSError:
            return None
        self._children.collect()
        return StepProcess(is_running, text, max(0.0, (time.time() if is_running else ended) - began))

    def stop(self, name: str) -> None:
        """Stop the step of this name, as Ctrl-C does.

        Raises:
            UserError: none is running.
        """
        from registry import run_process

        folder = self._folder(name)
        if not run_process.stop(folder):
            raise UserError(f"{name} is not under way")
        with (folder / LOG).open("a") as log:  # one that still starts ends without a line of its own
            log.write(f"\n{STOPPED} on the page.\n")

    def _folder(self, name: str) -> Path:
        return self.outputs / FOLDER / quote(name, safe=" ")
