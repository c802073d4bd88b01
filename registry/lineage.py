"""Where a version comes from: the code's commit and state, and the environment it ran in."""

import hashlib
import platform
import subprocess
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from data.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
RUNTIME = ("mlflow", "peft", "safetensors", "torch", "transformers")


def code_state() -> dict[str, str]:
    """``git_commit`` and ``git_dirty`` (true, false, or unknown where this is no git checkout)."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain")
    dirty = "unknown" if changes is None else str(bool(changes)).lower()
    return {"git_commit": commit or "unknown", "git_dirty": dirty}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment() -> dict[str, str]:
    """Interpreter, platform and the packages that weights depend on."""
    pins = {name: metadata.version(name) for name in RUNTIME}
    return {"python": platform.python_version(), "platform": platform.platform(), **pins}


def pins() -> list[str]:
    """``name==version`` lines that a logged model needs; a local build's suffix (``+cpu``) is left off."""
    return [f"{name}=={metadata.version(name).split('+')[0]}" for name in RUNTIME]


def weights_digest(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the folder's safetensors files, in order of their names.

    Raises:
        UserError: there are none; pickled weights are never loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no .safetensors weights; other formats are not loaded, they can run code")
    return files_digest(files)


def weights_bytes(folder: Path) -> int:
    """Size of the folder's safetensors files together."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def files_digest(paths: Sequence[Path]) -> str:
    """First 16 hex digits of the SHA-256 over the files' contents, one after the other."""
    states = [(path, path.stat()) for path in paths]
    return _digest(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@lru_cache(256)
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """The digest, remembered for as long as the files keep their sizes and times: reading them all takes a while."""
    state = hashlib.sha256()
    for path, _, _ in files:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                state.update(chunk)
    return state.hexdigest()[:16]
