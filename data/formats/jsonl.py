"""Records of a file of any size and format, packed with gzip or not; JSON lines are read one at a time."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from data.errors import DataError
from data.formats import files
from data.formats.records import Record

PACKED = ".gz"
MOST_PROBLEMS = 1000


def is_file(place: str) -> bool:
    """Whether ``place`` means a file and not a data set of the hub: it is there, or is named like one."""
    names = tuple(suffix + packed for suffix in files.FORMATS for packed in ("", PACKED))
    return os.path.exists(os.path.expanduser(place)) or place.lower().endswith(names)


def suffix_of(path: Path) -> str:
    """The suffix of the format, without ``.gz``."""
    name = path.name.lower().removesuffix(PACKED)
    return Path(name).suffix


def read(path: Path, header_problems: files.HeaderProblems) -> files.Parsed:
    """(the unchecked records of the file, the problems of places that could not be read)."""
    found: list[Record] = []
    problems: list[str] = []
    format_ = files.FORMATS.get(suffix_of(path))
    if format_ and format_.is_streamed:
        found += stream(path, problems)
        return found, problems
    try:
        with _opened(path) as raw:
            text = files.decoded(raw.read(), path.name)
    except DataError as error:
        return [], error.problems
    except (EOFError, OSError, zlib.error) as error:
        return [], [f"{path.name}: {_packing_problem(error)}"]
    assert format_  # else opening it was refused
    return format_.parse(text, path.name, header_problems)


def stream(path: Path, problems: list[str]) -> Iterator[Record]:
    """The records of a file of JSON lines, one at a time; what can't be read is added to ``problems``.

    Blank lines are skipped. After 1,000 problems the rest is not read.
    """
    name, row, number = path.name, 0, 0
    try:
        with _opened(path) as raw:
            for number, line in enumerate(raw, 1):
                if line.isspace():
                    continue
                row += 1
                where = f"{name} {files.place_of(row, number)}"
                try:
                    value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except UnicodeDecodeError as error:
                    problems.append(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8")
                except (ValueError, RecursionError) as error:
                    problems.append(f"{where}: broken JSON ({str(error)[:80]})")
                else:
                    yield Record(where, value)
                if len(problems) >= MOST_PROBLEMS:
                    return
    except DataError as error:
        problems += error.problems
    except (EOFError, OSError, zlib.error) as error:
        problems.append(f"{name} after row {row}: {_packing_problem(error)}")
    if not row and not problems:
        problems.append(f"{name}: the file is empty")


def _opened(path: Path) -> IO[bytes]:
    name = path.name or str(path)
    if path.is_dir():
        raise DataError([f"{name}: this is a folder; give one file in it ({files.suffixes()}, or with .gz)"])
    if not path.exists():
        raise DataError([f"{path}: there is no such file"])
    if suffix_of(path) not in files.FORMATS:
        wanted = f"{files.suffixes()}, or in one of them and .gz"
        raise DataError([f"{name}: can't tell its format; the name must end in {wanted}"])
    try:
        return cast(IO[bytes], gzip.open(path)) if path.name.lower().endswith(PACKED) else path.open("rb")
    except OSError as error:
        raise DataError([f"{name}: it can't be read ({error.strerror or error})"]) from error


def _packing_problem(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the gzip data is cut off; fetch the file again"
    if isinstance(error, (gzip.BadGzipFile, zlib.error)):
        return f"the gzip data is damaged ({error}); fetch the file again"
    return f"it can't be read ({error})"
