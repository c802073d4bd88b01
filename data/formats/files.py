"""Users' own rows: read from a file of any format, packed or not, or from the hub, with every problem reported.

A row is an object (or a line of a table) with ``prompt`` and ``response``, chat ``messages``, a preference of which the
chosen answer is taken, or a row as Alpaca, Dolly or ShareGPT have it; ``data.formats.records`` says which columns are
used. ``data.splits`` then divides rows into training and test.
"""

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from data.conversation import Row
from data.errors import DataError
from data.formats import hub
from data.formats.delimited import HeaderProblems
from data.formats.records import EXPECTED, Parsed, check, key_problem
from data.formats.table import FORMATS, suffixes

PACKED = ".gz"
GZIP_MAGIC = b"\x1f\x8b"
UNPACK = "unpack it, or pack it with gzip"
#: First bytes of files that are no text, and what to do about them.
SIGNATURES = (
    (b"PK\x03\x04", "it is a zip archive or an Excel workbook; unpack it, or save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "it is an Excel workbook; save the sheet as CSV"),
    (b"BZh", f"it is packed with bzip2; {UNPACK}"),
    (b"\xfd7zXZ", f"it is packed with xz; {UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"it is packed with Zstandard; {UNPACK}"),
    (b"7z\xbc\xaf", f"it is packed with 7-Zip; {UNPACK}"),
    (b"PAR1", "it is a Parquet table; give it the name .parquet"),
    (b"version https://git-lfs", "it is a pointer of Git LFS and not the file; fetch it with git lfs pull"),
)
#: What to do about files by suffixes of other kinds.
OTHER_KINDS = {
    **dict.fromkeys((".zip", ".bz2", ".xz", ".zst", ".7z", ".rar"), f"it is packed; {UNPACK}"),
    **dict.fromkeys((".tar", ".tgz"), "it is an archive; unpack it, and give one file of it"),
    **dict.fromkeys((".xlsx", ".xls", ".ods", ".numbers"), "it is a workbook; save the sheet as CSV"),
}


@dataclass(frozen=True)
class Loaded:
    """The rows of a data set, and ``notes``: what of it is not used, one line each."""

    rows: list[Row]
    notes: tuple[str, ...] = ()


def read_rows(place: str) -> list[Row]:
    """The rows of ``load(place)``."""
    return load(place).rows


def load(place: str) -> Loaded:
    """The rows of a file, or of a hub data set (``owner/name@config:split``) where no such path exists.

    ``Row.where`` counts rows from 1 and adds the line number where that differs: ``pairs.csv row 7 (line 8)``.

    Raises:
        DataError: with one problem for each thing that is wrong, anywhere in the file.
    """
    path = Path(os.path.expanduser(place))
    name = path.name if is_file(place) else place
    found, problems = parse_file(path, header_problems) if is_file(place) else (hub.records(place), [])
    checked = check(found)
    problems += checked.problems
    if not found and not problems:
        problems.append(f"{name}: there are no rows in it")
    if problems:
        raise DataError(problems)
    return Loaded(checked.rows, tuple(f"{name}: {note}" for note in checked.notes()))


def is_file(place: str) -> bool:
    """Whether ``place`` means a file and not a data set of the hub: it is there, or is named like one."""
    names = tuple(suffix + packed for suffix in FORMATS for packed in ("", PACKED))
    return os.path.exists(os.path.expanduser(place)) or place.lower().endswith(names)


def suffix_of(path: Path) -> str:
    """The suffix of the format, without ``.gz``."""
    return Path(path.name.lower().removesuffix(PACKED)).suffix


def parse_file(path: Path, header_problems: HeaderProblems) -> Parsed:
    """The unchecked records of one file, and the problems of those places that could not be parsed."""
    try:
        raw = _bytes(path)
        format_ = FORMATS[suffix_of(path)]
        content = decoded(raw, path.name) if format_.is_text else raw
    except DataError as error:
        return [], error.problems
    return format_.parse(content, path.name, header_problems)


def require_format(path: Path) -> None:
    """Refuse a path that is no file of a known format.

    Raises:
        DataError: it is a folder, is not there, or its name ends in no known suffix.
    """
    name = path.name or str(path)
    if path.is_dir():
        known = sorted(each.name for each in path.iterdir() if each.is_file() and suffix_of(each) in FORMATS)
        such = f"such as {known[0]}" if known else f"{suffixes()}, or with {PACKED}"
        raise DataError([f"{name}: this is a folder; give one file in it ({such})"])
    if not path.exists():
        raise DataError([f"{path}: there is no such file"])
    if suffix_of(path) in OTHER_KINDS:
        raise DataError([f"{name}: {OTHER_KINDS[suffix_of(path)]}"])
    if suffix_of(path) not in FORMATS:
        wanted = f"{suffixes()}, or in one of them and {PACKED}"
        raise DataError([f"{name}: can't tell its format; the name must end in {wanted}"])


def _bytes(path: Path) -> bytes:
    require_format(path)
    try:
        raw = path.read_bytes()
        if raw and path.name.lower().endswith(PACKED):
            raw = gzip.decompress(raw)
        while raw.startswith(GZIP_MAGIC):  # whatever its name, and packed twice as some downloads are
            raw = gzip.decompress(raw)
        return raw
    except PermissionError as error:
        raise DataError([f"{path.name}: you have no permission to read it"]) from error
    except (EOFError, OSError, zlib.error) as error:
        raise DataError([f"{path.name}: {reading_problem(error)}"]) from error


def reading_problem(error: Exception) -> str:
    """Why a file, packed or not, can't be read to its end."""
    if isinstance(error, EOFError):
        return "the gzip data is cut off; fetch the file again"
    if isinstance(error, (gzip.BadGzipFile, zlib.error)):
        return f"the gzip data is damaged ({error}); fetch the file again"
    return f"it can't be read ({getattr(error, 'strerror', None) or error})"


def decoded(raw: bytes, name: str) -> str:
    """The file's text without a byte order mark; refuses what is not UTF-8 text, naming every bad line."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(raw) > 1 and bool(raw[0]) != bool(raw[1])):
        raise DataError([f"{name} byte 0 (line 1): it is UTF-16 or UTF-32; save it as UTF-8"])
    for signature, problem in SIGNATURES:
        if raw.startswith(signature):
            raise DataError([f"{name}: {problem}"])
    problems = list(_encoding_problems(raw, name))
    if problems:
        raise DataError(problems)
    text = raw.decode("utf-8-sig")
    if not text.strip():
        raise DataError([f"{name}: the file is empty"])
    return text


def _encoding_problems(raw: bytes, name: str) -> list[str]:
    problems, offset = [], 0
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            at = offset + error.start
            problems.append(f"{name} byte {at} (line {number}): 0x{raw[at]:02x} is not UTF-8; save the file as UTF-8")
        if b"\0" in line:
            problems.append(f"{name} byte {offset + line.index(0)} (line {number}): a NUL byte; is it a text file?")
        offset += len(line) + 1
    return problems


def header_problems(header: list[str], where: str) -> list[str]:
    """What keeps the first line of a table from naming the columns of a row."""
    problem = key_problem(dict.fromkeys(header))
    if not problem:
        return []
    problem = problem.replace(EXPECTED, "expected prompt and response").replace("its keys", "its columns")
    return [f"{where}: the first line must be a header; {problem}"]
