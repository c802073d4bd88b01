"""Chat JSONL in OpenAI's fine-tuning format: written and checked row by row, in constant memory."""

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BufferedWriter
from json.encoder import encode_basestring as quoted
from pathlib import Path
from typing import IO, Any, cast

from data.atomic_write import atomic_write
from data.errors import DataError
from data.formats import jsonl
from data.formats.conversations import TOOL_KEYS
from data.formats.records import BadRecord, Record, to_row
from data.formats.texts import kind_of
from data.labelled import AnyRow, LabelledRow, Labels
from data.prompts import PromptTemplate, messages

LEAST_ROWS = 10
MOST_BYTES = 512 * 2**20
MESSAGE_KEYS = {"role", "content", "weight", "name", "tool_calls", "tool_call_id"}
GZIP_LEVEL = 6


@dataclass(frozen=True)
class Written:
    """A finished file: its rows, its bytes and their SHA-256 in hex (of the JSONL, whether packed or not)."""

    path: Path
    rows: int
    size_bytes: int
    sha256: str


def line(row: AnyRow, labels: Labels, template: PromptTemplate) -> str:
    """One line of the file, its newline included."""
    head, tail = _frame(template)
    return f"{head}{quoted(template.user_text(row.text))}{tail}{quoted(row.answer(labels))}}}]}}\n"


@cache
def _frame(template: PromptTemplate) -> tuple[str, str]:
    """What stands before the user's text and between it and the answer: the same in every line, so made once."""
    mark = "\0"
    row = LabelledRow(mark, 0, "", 0)
    whole = json.dumps({"messages": messages(row, (mark, mark), template)}, ensure_ascii=False)
    head, _, rest = whole.partition(json.dumps(template.user_text(mark), ensure_ascii=False))
    return head, rest.partition(json.dumps(mark))[0]


def write(rows: Iterable[AnyRow], path: Path, labels: Labels, template: PromptTemplate) -> Written:
    """Write one line a row; a path that ends in ``.gz`` is packed. Equal rows make equal bytes.

    The file appears under its name when it is complete, so a run that is stopped leaves no half file to train on.

    Raises:
        DataError: fewer rows than OpenAI accepts (10), or more bytes (512 MB).
    """
    return write_lines((line(row, labels, template) for row in rows), path, LEAST_ROWS)


def write_lines(texts: Iterable[str], path: Path, least: int = 0) -> Written:
    """Write the lines (each with its newline) to ``path``, which appears when it is complete."""
    state, count, size = sha256(), 0, 0
    with atomic_write(path) as file:
        with _opened(file, path.suffix == ".gz") as out:
            for text in texts:
                raw = text.encode()
                state.update(raw)
                out.write(raw)
                count, size = count + 1, size + len(raw)
        if count < least:
            raise DataError([f"{path.name}: {count} rows are too few; OpenAI trains on {least} or more"])
        if least and size > MOST_BYTES:
            raise DataError([f"{path.name}: it has {size / 2**20:,.0f} MB; OpenAI takes {MOST_BYTES // 2**20} MB"])
    return Written(path, count, size, state.hexdigest())


@contextmanager
def _opened(path: Path, packed: bool) -> Iterator[IO[bytes]]:
    with path.open("wb") as raw:
        if not packed:
            yield raw
            return
        # No name and no time in the header: they would make equal rows unequal files.
        with gzip.GzipFile("", "wb", GZIP_LEVEL, raw, mtime=0) as file, BufferedWriter(cast(Any, file), 2**17) as out:
            yield out


def problems(path: Path, least: int = LEAST_ROWS) -> Iterator[str]:
    """Everything that OpenAI would refuse about a file, one line each, found without holding its rows.

    ``least``: rows that the file must have; a validation file needs fewer than one to train on.
    """
    faults: list[str] = []
    count = 0
    for record in jsonl.stream(path, faults):
        count += 1
        yield from (f"{record.where}: {problem}" for problem in _faults(record))
    yield from faults
    if count < least:
        yield f"{path.name}: {count} rows are too few; OpenAI trains on {least} or more"


def _faults(record: Record) -> Iterator[str]:
    value = record.value
    if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
        yield (
            "it is no object with messages"
            if not isinstance(value, dict) or "messages" not in value
            else (f"messages is {kind_of(value['messages'])}, not a list of objects with role and content")
        )
        return
    try:
        to_row(Record(record.where, {key: value[key] for key in ("messages", *TOOL_KEYS) if key in value}))
    except BadRecord as error:
        yield from error.faults
        return
    for i, message in enumerate(value["messages"], 1):
        odd = sorted(set(message) - MESSAGE_KEYS)
        if odd:
            yield f"message {i} has the unknown key {odd[0]!r}"
