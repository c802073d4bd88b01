"""Every rule of OpenAI's training format, with file and line, before anything leaves the machine."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.chat_template import SPECIAL_TOKENS
from data.conversation import Row
from data.errors import DataError
from data.formats import jsonl, openai
from data.formats.records import BadRecord, Record, to_row
from data.prompts import Counter


def check(path: Path, count_tokens: Counter, most_tokens: int, least: int = openai.LEAST_ROWS) -> None:
    """Refuse a file that an API would refuse, cut, or teach nothing from.

    Raises:
        DataError: one line a fault.
    """
    found = list(problems(path, count_tokens, most_tokens, least))
    if found:
        raise DataError(found)


def problems(path: Path, count_tokens: Counter, most_tokens: int, least: int) -> Iterator[str]:
    """One line a fault; ``most_tokens`` 0 sets no limit, ``least`` is the number of rows that it must have."""
    size = path.stat().st_size
    if size > openai.MOST_BYTES:
        most = openai.MOST_BYTES // 2**20
        yield f"{path.name}: it has {size / 2**20:,.0f} MB; {most} MB is the most that is taken"
    yield from openai.problems(path, least)
    special = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
    for record in jsonl.stream(path, []):
        yield from (f"{record.where}: {fault}" for fault in _faults(record, special, count_tokens, most_tokens))


def _faults(record: Record, special: re.Pattern[str], count_tokens: Counter, most_tokens: int) -> Iterator[str]:
    try:
        row = to_row(Record(record.where, {"messages": record.value["messages"]}))
    except (BadRecord, KeyError, TypeError):
        return  # told already
    messages: Sequence[dict] = record.value["messages"]
    for i, message in enumerate(messages, 1):
        if found := special.search(message["content"]):
            yield f"message {i} holds the special token {found.group()}, which would end a text in its middle"
        if "weight" in message and message["role"] != "assistant":
            yield f"message {i} ({message['role']}) has a weight; only those by assistant can"
    tokens = count_tokens(Row(row.turns, row.system))
    if most_tokens and tokens > most_tokens:
        yield f"it has {tokens:,} tokens; from {most_tokens:,} on its end, with the answer, would be cut off"
