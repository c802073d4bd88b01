"""The cache of converted base models: each is made once, by one process, and appears whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from data.errors import UserError, first_line
from inference.precision import cache_folder


def keep(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache; where it is missing, ``make`` fills an empty folder that then becomes it.

    Raises:
        UserError: the cache can't be written: no space, no permission.
    """
    from safetensors import SafetensorError

    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{name}.lock"):
            if not folder.is_dir():
                _make(folder, make)
    except (OSError, SafetensorError) as error:  # safetensors has its own name for a full disk
        reason = getattr(error, "strerror", None) or first_line(error) or type(error).__name__
        raise UserError(
            f"the base model can't be kept in {cache_folder()} ({reason}): name another folder in PARLEY_CACHE"
        ) from error
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    for killed in folder.parent.glob(f".{folder.name}-*"):  # left behind by a process that was killed
        shutil.rmtree(killed, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
