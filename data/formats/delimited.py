"""Tables as text: a header line and one row a line, cells set apart by commas, semicolons, tabs or bars."""

import csv
import io
import re
from collections.abc import Callable

from data.formats.json_text import place_of
from data.formats.records import Parsed, Record
from data.formats.texts import line_ends

#: (columns, where) -> what keeps the first line of a table from naming the columns that are needed.
HeaderProblems = Callable[[list[str], str], list[str]]
DOUBLED = "a quotation mark within a quoted text must stand twice"
SEPARATORS = (",", ";", "\t", "|")
#: The line that Excel reads and writes before the header; it names the separator.
#: Programs that read it as a row pad it with separators.
DECLARATION = re.compile(r'\s*"?sep *= ?(\\t|[^"\r\n])(?:\1|[" \t,;|])*(?:\r\n|\r|\n)', re.IGNORECASE)

# The module's limit of 128 KiB a cell is global. It is there to notice a quotation mark that is never closed, and the
# strict mode of the reader does that, so texts of any length are read.
csv.field_size_limit(2**31 - 1)


def parse_table(text: str, name: str, separator: str, header_problems: HeaderProblems) -> Parsed:
    r"""Records of a table whose first line names the columns. Line ends within cells become ``\n``.

    The separator is the one that yields the columns which ``header_problems`` wants; ``separator`` is tried first. Rows
    of nothing but blank cells, as spreadsheets append them, are skipped.
    """
    declared = DECLARATION.match(text)
    lines_before = 0
    if declared:
        lines_before = len(re.findall(r"\r\n|\r|\n", declared[0]))
        text, separator = text[declared.end() :], declared[1].replace("\\t", "\t")
    return _parse(text, name, _separator(text, separator, header_problems), header_problems, lines_before)


def _separator(text: str, first: str, header_problems: HeaderProblems) -> str:
    """The separator under which the first line is a header, else the one that yields the most columns."""
    tried = {each: _header(text, each) for each in dict.fromkeys((first, *SEPARATORS))}
    fitting = [each for each, header in tried.items() if header and not header_problems(header, "")]
    return fitting[0] if fitting else max(tried, key=lambda each: len(tried[each]))


def _lines(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")


def _header(text: str, separator: str) -> list[str]:
    try:
        rows = csv.reader(_lines(text), delimiter=separator, strict=True)
        return _names(next((cells for cells in rows if any(map(str.strip, cells))), []))
    except csv.Error:
        return []


def _names(cells: list[str]) -> list[str]:
    return [cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1)]


def _parse(text: str, name: str, separator: str, header_problems: HeaderProblems, lines_before: int) -> Parsed:
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    header: list[str] = []
    found: list[Record] = []
    problems: list[str] = []
    row, start = 0, lines_before
    try:
        for cells in reader:
            line, start = start + 1, reader.line_num + lines_before
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = _names(cells)
                problems = header_problems(header, f"{name} line {line}") or _twice(header, f"{name} line {line}")
                if problems:
                    return [], problems
                continue
            row += 1
            where = f"{name} {place_of(row, line)}"
            if len(cells) == len(header) or (
                len(cells) > len(header) and not any(map(str.strip, cells[len(header) :]))
            ):
                found.append(Record(where, dict(zip(header, map(line_ends, cells), strict=False))))
            else:
                problems.append(_ragged(where, len(cells), len(header)))
    except csv.Error as error:
        is_cut = "unexpected end" in str(error)
        hint = "a quotation mark is never closed: the file looks cut off" if is_cut else DOUBLED
        problems.append(f"{name} {place_of(row + 1, start + 1)}: broken CSV ({error}); {hint}")
    return found, problems


def _twice(header: list[str], where: str) -> list[str]:
    twice = sorted({column for column in header if header.count(column) > 1})
    return [f"{where}: the header names {' and '.join(twice)} twice"] if twice else []


def _ragged(where: str, cells: int, columns: int) -> str:
    hint = "put texts that hold the separator into double quotation marks" if cells > columns else "some are missing"
    return f"{where}: it has {cells} {'field' if cells == 1 else 'fields'}, but the header has {columns}; {hint}"
