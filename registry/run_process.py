"""Which process writes a run: a locked file in the run's own folder, which holds the process id.

The system removes the lock when the process ends, however it ends, so a run whose status in MLflow is RUNNING and
whose file is not locked was interrupted. Both are true on one machine only: that of the folder.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data.errors import UserError

LOCK = "process"
TRIES, PAUSE_S = 5, 0.05  # a look at the lock holds it for an instant


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of the run in ``folder``, which is made, as long as the context lasts.

    Raises:
        UserError: another process writes this run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        if not lock(file):
            raise UserError(f"run {folder.name} is still going in process {find(folder)}; stop it first")
        note(file, os.getpid())
        yield


def lock(file: TextIO) -> bool:
    """Lock an open file ``LOCK``, for as long as any process has it open; False where another one holds it."""
    for attempt in range(TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if attempt < TRIES - 1:
                time.sleep(PAUSE_S)
    return False


def note(file: TextIO, process: int) -> None:
    """Write the id of the process that holds the lock into its file."""
    file.truncate(0)
    file.write(str(process))
    file.flush()


def find(folder: Path) -> int | None:
    """The id of the process that writes the run in ``folder``; None where none does, here at least."""
    try:
        with (folder / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except OSError:
        pass
    return None


def stop(folder: Path, kill: bool = False) -> bool:
    """Ask the process that writes the run to stop, as Ctrl-C does, or ``kill`` it; returns whether there is one."""
    process = find(folder)
    if process is None:
        return False
    os.kill(process, signal.SIGKILL if kill else signal.SIGTERM)
    return True
