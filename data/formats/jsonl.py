"""JSON lines of a file of any size, packed with gzip or not, one at a time."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from data.errors import DataError
from data.formats.files import PACKED, reading_problem, require_format
from data.formats.json_text import BrokenJson, line_value, place_of, twice_problem
from data.formats.records import Record

MOST_PROBLEMS = 1000


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
                yield from _records(line, f"{name} {place_of(row, number)}", number, problems)
                if len(problems) >= MOST_PROBLEMS:
                    return
    except DataError as error:
        problems += error.problems
    except (EOFError, OSError, zlib.error) as error:
        problems.append(f"{name} after row {row}: {reading_problem(error)}")
    if not row and not problems:
        problems.append(f"{name}: the file is empty")


def _records(line: bytes, where: str, number: int, problems: list[str]) -> Iterator[Record]:
    try:
        value, twice = line_value(line.decode("utf-8-sig" if number == 1 else "utf-8"), is_end=False)
    except UnicodeDecodeError as error:
        problems.append(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8")
    except BrokenJson as error:
        problems.append(f"{where}: {error.problem}")
    else:
        if twice:
            problems.append(f"{where}: {twice_problem(twice)}")
        yield Record(where, value)


def _opened(path: Path) -> IO[bytes]:
    require_format(path)
    try:
        return cast(IO[bytes], gzip.open(path)) if path.name.lower().endswith(PACKED) else path.open("rb")
    except OSError as error:
        raise DataError([f"{path.name}: it can't be read ({error.strerror or error})"]) from error
