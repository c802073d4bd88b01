"""Digests and sizes of a folder's weights."""

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from data.errors import UserError


def weights_digest(folder: Path) -> str:
    """First 16 hex digits of the SHA-256 over the folder's safetensors files, in order of their names.

    Raises:
        UserError: there are none; pickled weights are never loaded.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no .safetensors weights; other formats are not loaded, they can run code")
    return files_digest(files)


def stored_types(folder: Path) -> set[str]:
    """The types, by safetensors' names (``F32``, ``BF16``), of the matrices in the folder's safetensors files.

    Raises:
        UserError: a file can't be read.
    """
    found: set[str] = set()
    for path in folder.glob("*.safetensors"):
        try:
            with path.open("rb") as stream:
                header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
            tensors = [each for name, each in header.items() if name != "__metadata__"]
            found |= {each["dtype"] for each in tensors if len(each["shape"]) > 1}
        except (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
            raise UserError(f"{path} can't be read, it is cut off or damaged") from error
    return found


def weights_bytes(folder: Path) -> int:
    """Size of the folder's safetensors files together."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def sha256_of(file: Path) -> str:
    """The SHA-256 over the content of ``file`` in hex digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
