"""Training files: checked line by line at the upload, and read as rows by the training process."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Any

from data.conversation import Row
from data.formats import jsonl, openai, preferences
from data.formats.records import BadRecord, Record, to_row, unused_columns, unused_message_keys
from data.preferences import Preference
from serve.errors import RequestError

MAX_SHOWN = 5
SUPERVISED, DPO = "supervised", "dpo"
DPO_KEYS = {"input", "preferred_output", "non_preferred_output"}


@dataclass(frozen=True)
class Checked:
    """The result of a check: how many lines are not blank, and the training method that they are for."""

    rows: int = 0
    kind: str = ""


NOT_CHECKED = Checked()


def check(content: IO[bytes], filename: str) -> Checked:
    """Check an uploaded training or validation file.

    Raises:
        RequestError: a line is invalid; the message has the line number and the reason of the first five.
    """
    with tempfile.TemporaryDirectory(prefix="parley-upload-") as folder:
        path = Path(folder, plain_name(filename))
        with path.open("wb") as out:
            shutil.copyfileobj(content, out)
        content.seek(0)
        return check_path(path)


def check_path(path: Path) -> Checked:
    """Check the file at ``path``, as ``check`` does."""
    kind = _kind(path)
    found = []
    for problem in preference_problems(path) if kind == DPO else openai.problems(path, least=1):
        found.append(problem)
        if len(found) > MAX_SHOWN:
            found[-1] = "..."
            break
    if found:
        raise RequestError(f"Invalid file format. {' '.join(found)}", param="file", code="invalid_training_file")
    with path.open("rb") as stream:
        return Checked(sum(not line.isspace() for line in stream), kind)


def _kind(path: Path) -> str:
    first = next(iter(jsonl.stream(path, [])), None)
    return DPO if first and isinstance(first.value, dict) and set(first.value) & DPO_KEYS else SUPERVISED


def preference_problems(path: Path) -> list[str]:
    """Everything that is wrong with the file at ``path``, whose lines must be OpenAI's preferences."""
    problems: list[str] = []
    records = list(jsonl.stream(path, problems))
    other = [each.where for each in records if not (isinstance(each.value, dict) and each.value.keys() >= DPO_KEYS)]
    if other:
        problems.append(f"{other[0]}: its keys must be input, preferred_output and non_preferred_output")
    return [*problems, *preferences.check(each for each in records if each.where not in other)[1]]


def preference_rows(path: Path) -> list[Preference]:
    """The preferences of a file that was checked."""
    found = preferences.check(jsonl.stream(path, []))[0]
    return [row for row in found if isinstance(row, Preference)]


def rows(path: Path) -> list[Row]:
    """The rows of a file that was checked, with the same line numbers.

    Raises:
        BadRecord: a line is invalid.
    """
    problems: list[str] = []
    found = [to_row(Record(each.where, each.value)) for each in jsonl.stream(path, problems)]
    if problems:
        raise BadRecord(*problems)
    return found


def unused(path: Path) -> list[str]:
    """Keys of the rows, and of their messages, that hold something and are not used."""
    found: dict[str, None] = {}
    for each in jsonl.stream(path, []):
        found.update(dict.fromkeys((*unused_columns(each.value), *unused_message_keys(each.value))))
    return list(found)


def plain_name(filename: str) -> str:
    """The file's name without folders and control characters, ending in .jsonl, by which its format is known."""
    name = "".join(ch for ch in PurePath(filename.replace("\\", "/")).name if ch.isprintable() and ch != "/")[:40]
    return name if name.lower().endswith(".jsonl") else f"{name or 'file'}.jsonl"


def lines_of(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, parsed value or None where it is not JSON) of each line that is not blank."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.isspace():
                try:
                    yield number, json.loads(line)
                except (ValueError, RecursionError):
                    yield number, None
