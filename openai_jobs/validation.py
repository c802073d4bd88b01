"""A training file checked by every rule of OpenAI's format before it is uploaded; faults name file and line."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.chat_template import SPECIAL_TOKENS
from data.conversation import Row
from data.errors import DataError
from data.formats import jsonl, openai
from data.formats.conversations import text_of
from data.formats.records import BadRecord, Record, to_row
from data.prompts import Counter


def check(path: Path, count_tokens: Counter, max_tokens: int, min_rows: int = openai.LEAST_ROWS) -> None:
    """Refuse a file that an API would refuse or truncate, or that holds nothing to train on.

    Raises:
        DataError: one line per fault.
    """
    found = list(problems(path, count_tokens, max_tokens, min_rows))
    if found:
        raise DataError(found)


def problems(path: Path, count_tokens: Counter, max_tokens: int, min_rows: int) -> Iterator[str]:
    """One line per fault. ``max_tokens`` is the limit of one example, 0 for none; ``min_rows`` that of the file."""
    size = path.stat().st_size
    if size > openai.MOST_BYTES:
        most = openai.MOST_BYTES // 2**20
        yield f"{path.name}: it has {size / 2**20:,.0f} MB; {most} MB is the most that is taken"
    yield from openai.problems(path, min_rows)
    special = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
    for record in jsonl.stream(path, []):
        yield from (f"{record.where}: {problem}" for problem in _faults(record, special, count_tokens, max_tokens))


def _faults(record: Record, special: re.Pattern[str], count_tokens: Counter, max_tokens: int) -> Iterator[str]:
    try:
        row = to_row(Record(record.where, {"messages": record.value["messages"]}))
    except (BadRecord, KeyError, TypeError):
        return  # reported by ``openai.problems``
    messages: Sequence[dict] = record.value["messages"]
    for i, message in enumerate(messages, 1):
        if found := special.search(text_of(message["content"]) or ""):
            yield f"message {i} holds the special token {found.group()}, which would end a text in its middle"
        if "weight" in message and message["role"] != "assistant":
            yield f"message {i} ({message['role']}) has a weight; only those by assistant can"
    tokens = count_tokens(Row(row.turns, row.system))
    if max_tokens and tokens > max_tokens:
        yield f"it has {tokens:,} tokens; from {max_tokens:,} on its end, with the answer, would be cut off"
