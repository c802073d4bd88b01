"""Users' own rows: read from a JSON, JSONL, CSV or TSV file or from the hub, with every problem reported at once.

A row is an object (or a CSV line) with ``prompt`` and ``response``, or with chat ``messages``, or a preference with
``prompt``, ``chosen`` and ``rejected``, of which the chosen answer is taken; other columns are ignored.
``data.splits`` then divides rows into training and test.
"""

import csv
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.conversation import Row
from data.errors import DataError
from data.formats import hub
from data.formats.records import EXPECTED, Record, check, is_preference, key_problem, kind_of

#: The unchecked records of a file, and the problems of those places that could not be parsed.
Parsed = tuple[list[Record], list[str]]
#: (columns, where) -> what keeps the first line of a table from naming the columns that are needed.
HeaderProblems = Callable[[list[str], str], list[str]]


@dataclass(frozen=True)
class Format:
    """A file format. ``FORMATS`` lists them; to add one, add an entry."""

    about: str
    """What a file of it holds."""
    parse: Callable[[str, str, HeaderProblems], Parsed]
    """(text of the file, its name, check of a table's header) -> records and problems."""
    is_streamed: bool = False
    """Whether each line is one JSON record, so that files of any size can be read line by line."""


def suffixes() -> str:
    """The suffixes of all formats in one line."""
    return ", ".join(FORMATS)


def read_rows(place: str) -> list[Row]:
    """The rows of a file, or of a hub data set (``owner/name@config:split``) where no such path exists.

    Texts are stripped of whitespace around them. ``Row.where`` counts rows from 1 and adds the line number where that
    differs: ``pairs.csv row 7 (line 8)``.

    Raises:
        DataError: with one problem for each thing that is wrong, anywhere in the file.
    """
    path = Path(os.path.expanduser(place))
    is_path = os.path.exists(path) or path.suffix.lower() in FORMATS
    found, problems = parse_file(path) if is_path else (hub.records(place), [])
    rows, faults = check(found)
    problems += faults
    if not found and not problems:
        problems.append(f"{path.name if is_path else place}: there are no rows in it")
    if problems:
        raise DataError(problems)
    return rows


def parse_file(path: Path) -> Parsed:
    """The unchecked records of one file, and the problems of those places that could not be parsed."""
    try:
        text = decoded(_bytes(path), path.name)
    except DataError as error:
        return [], error.problems
    return FORMATS[path.suffix.lower()].parse(text, path.name, _header_problems)


def _bytes(path: Path) -> bytes:
    name = path.name or str(path)
    if path.is_dir():
        raise DataError([f"{name}: this is a folder; give one file in it ({suffixes()})"])
    if not path.exists():
        raise DataError([f"{path}: there is no such file"])
    if path.suffix.lower() not in FORMATS:
        raise DataError([f"{name}: can't tell its format; the name must end in {suffixes()}"])
    try:
        return path.read_bytes()
    except PermissionError as error:
        raise DataError([f"{name}: you have no permission to read it"]) from error
    except OSError as error:
        raise DataError([f"{name}: it can't be read ({error.strerror or error})"]) from error


def decoded(raw: bytes, name: str) -> str:
    """The file's text without a byte order mark; refuses what is not UTF-8 text, naming every bad line."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError([f"{name} byte 0 (line 1): it is UTF-16; save it as UTF-8"])
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
    if problems:
        raise DataError(problems)
    text = raw.decode("utf-8-sig")
    if not text.strip():
        raise DataError([f"{name}: the file is empty"])
    return text


def parse_json(text: str, name: str) -> Parsed:
    """Records of a JSON array of objects; a text that holds one object a line is read as JSONL."""
    if _is_lines(text):
        return parse_lines(text, name)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [], [f"{name} {_json_problem(error, text)}"]
    if isinstance(value, list):
        return [Record(f"{name} row {i}", row) for i, row in enumerate(value, 1)], []
    lists = [key for key, held in value.items() if isinstance(held, list)] if isinstance(value, dict) else []
    hint = f'; take out the list under "{lists[0]}"' if lists else ""
    return [], [f"{name}: it holds {kind_of(value)}, not an array of objects{hint}"]


def _is_lines(text: str) -> bool:
    """True where the first line is an object of its own and others follow."""
    first, _, rest = text.strip().partition("\n")
    if not first.startswith("{") or not rest:
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def parse_lines(text: str, name: str) -> Parsed:
    """Records of JSONL; blank lines are skipped. A broken line is a problem of its own, the others are still read."""
    found: list[Record] = []
    problems: list[str] = []
    # Not splitlines(): it also cuts at U+2028 and the like, which JSON allows within a string.
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for row, (number, line) in enumerate(lines, 1):
        try:
            found.append(Record(f"{name} {place_of(row, number)}", json.loads(line)))
        except (ValueError, RecursionError) as error:
            problem = _json_problem(error, line, number - 1, is_end=row == len(lines))
            problems.append(f"{name} row {row}, {problem}")
    return found, problems


def place_of(row: int, line: int) -> str:
    """``row 7``, or ``row 7 (line 9)`` where the two differ."""
    return f"row {row}" if row == line else f"row {row} (line {line})"


def _json_problem(error: Exception, text: str, lines_before: int = 0, is_end: bool = True) -> str:
    """``line 3 column 9: ...``; ``is_end`` is False where more text follows, so that nothing can be cut off."""
    if not isinstance(error, json.JSONDecodeError):
        return f"line {lines_before + 1}: it can't be read as JSON ({str(error)[:80]})"
    at_end = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
    cut = "; the file looks cut off" if at_end and is_end else ""
    return f"line {error.lineno + lines_before} column {error.colno}: broken JSON ({error.msg}){cut}"


def parse_table(
    text: str,
    name: str,
    delimiter: str,
    header_problems: HeaderProblems,
) -> Parsed:
    """Records of a CSV or TSV text whose first line names the columns.

    ``header_problems(header, where)`` gives the problems of that line.
    """
    first = text.lstrip().partition("\n")[0]
    if delimiter == "," and ";" in first and "," not in first:  # what spreadsheets write where the comma is decimal
        delimiter = ";"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    found: list[Record] = []
    problems: list[str] = []
    row = start = 0
    try:
        for cells in reader:
            line, start = start + 1, reader.line_num
            if not cells:
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                problems = header_problems(header, f"{name} line {line}")
                if problems:
                    return [], problems
                continue
            row += 1
            where = f"{name} {place_of(row, line)}"
            if len(cells) == len(header):
                found.append(Record(where, dict(zip(header, cells, strict=True))))
            else:
                problems.append(_ragged(where, len(cells), len(header)))
    except csv.Error as error:
        cut = "; a quotation mark is never closed: the file looks cut off" if "unexpected end" in str(error) else ""
        problems.append(f"{name} {place_of(row + 1, start + 1)}: broken CSV ({error}){cut}")
    return found, problems


def _header_problems(header: list[str], where: str) -> list[str]:
    twice = sorted(
        {column for column in header if header.count(column) > 1 and column in ("prompt", "response", "chosen")}
    )
    if twice:
        return [f"{where}: the header names {' and '.join(twice)} twice"]
    columns: dict[str, Any] = dict.fromkeys(header)
    if {"prompt", "response"} <= columns.keys() or is_preference(columns):
        return []
    if "messages" in columns:
        return [f"{where}: messages can't be a column of a table; use JSONL, or the columns prompt and response"]
    problem = key_problem(columns).replace(EXPECTED, "expected prompt and response").replace("its keys", "its columns")
    return [f"{where}: the first line must be a header; {problem}"]


def _ragged(where: str, cells: int, columns: int) -> str:
    hint = "put texts that hold the separator into double quotation marks" if cells > columns else "some are missing"
    return f"{where}: it has {cells} {'field' if cells == 1 else 'fields'}, but the header has {columns}; {hint}"


def _json_lines(text: str, name: str, header_problems: HeaderProblems) -> Parsed:
    return parse_json(text, name) if text.lstrip().startswith("[") else parse_lines(text, name)


JSON_LINES = Format("one JSON object a line", _json_lines, is_streamed=True)
FORMATS: dict[str, Format] = {
    ".json": Format("a JSON array of objects", lambda text, name, _: parse_json(text, name)),
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".csv": Format(
        "a table with a header line, columns set apart by commas",
        lambda text, name, header_problems: parse_table(text, name, ",", header_problems),
    ),
    ".tsv": Format(
        "a table with a header line, columns set apart by tabs",
        lambda text, name, header_problems: parse_table(text, name, "\t", header_problems),
    ),
}
"""Every file format by the suffix of its files."""
