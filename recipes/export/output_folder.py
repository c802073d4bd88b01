"""The folder of an export: it gets its name once all of it is done, and what a killed process left is removed."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import UserError

PARTIAL = ".partial-"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that becomes ``target`` by a rename at the end, or is deleted by an error.

    Others may read it.

    Raises:
        UserError: no folder can be made there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        place = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
        held = os.open(place, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"output={target} can't be written: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX)  # released when this process ends, whatever ends it
        yield place
        place.chmod(0o755)
        for path in place.rglob("*"):
            path.chmod(path.stat().st_mode | 0o444)  # safetensors lets nobody but the owner read what it writes
        os.rename(place, target)
    finally:
        os.close(held)
        shutil.rmtree(place, ignore_errors=True)


def _prefix(target: Path) -> str:
    return f"{PARTIAL}{target.name}-"


def _remove_abandoned(target: Path) -> None:
    """Remove the unfinished folders for ``target`` that no process holds: theirs was killed."""
    for found in target.parent.glob(f"{PARTIAL}*"):
        if not re.fullmatch(rf"{re.escape(_prefix(target))}\w{{8}}", found.name) or not found.is_dir():
            continue
        held = os.open(found, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(found, ignore_errors=True)
        except BlockingIOError:  # another export to this place is at work
            pass
        finally:
            os.close(held)
