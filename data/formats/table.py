"""The table of file formats by the suffix of a file's name. To add a format, add an entry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data.formats.delimited import HeaderProblems, parse_table
from data.formats.json_text import parse_json, parse_lines
from data.formats.parquet import parse_arrow, parse_parquet
from data.formats.records import Parsed


@dataclass(frozen=True)
class Format:
    """A file format."""

    about: str
    """What a file of it holds."""
    parse: Callable[[Any, str, HeaderProblems], Parsed]
    """(content of the file, its name, check of a table's header) -> records and problems."""
    is_text: bool = True
    """Whether ``parse`` takes the content as text; else as bytes."""


JSON_LINES = Format("one JSON object a line", lambda text, name, _: parse_lines(text, name))
TABLE = "a table with a header line, columns set apart by"
FORMATS: dict[str, Format] = {
    ".json": Format(
        "a JSON array of objects, or objects one after another", lambda text, name, _: parse_json(text, name)
    ),
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".csv": Format(
        f"{TABLE} commas, semicolons, tabs or bars",
        lambda text, name, header_problems: parse_table(text, name, ",", header_problems),
    ),
    ".tsv": Format(
        f"{TABLE} tabs",
        lambda text, name, header_problems: parse_table(text, name, "\t", header_problems),
    ),
    ".parquet": Format("a table in Parquet", lambda raw, name, _: parse_parquet(raw, name), is_text=False),
    ".arrow": Format(
        "a table in Arrow, as in the folder of a saved data set",
        lambda raw, name, _: parse_arrow(raw, name),
        is_text=False,
    ),
}
"""Every file format by the suffix of its files."""


def suffixes() -> str:
    """The suffixes of all formats in one line."""
    return ", ".join(FORMATS)
