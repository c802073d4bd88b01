"""The row that everything trains on: a conversation whose last answer is the one that counts."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

Turns = tuple[tuple[str, str], ...]
#: How answers begin that hold a thought in their own text, as Qwen's and DeepSeek's do.
THOUGHT, THOUGHT_END = "<think>", "</think>"
#: A thought, whose opening the prompt may have written, and what comes after it without blank lines and a single space.
INLINE = re.compile(
    rf"\s*(?:{THOUGHT}|(?!.*{THOUGHT}))\s*(.*?)\s*{THOUGHT_END}(?:[^\S\n]*\n)*(?: (?=\S))?(.*)", re.DOTALL
)


@dataclass(frozen=True)
class ToolChat:
    """OpenAI's messages of a conversation that calls tools, and those tools, both as text of JSON."""

    messages: str
    tools: str


@dataclass(frozen=True)
class Row:
    """One conversation: (prompt, answer) ``turns``, oldest first, and where it was read.

    ``muted``: the turns, counted from 0, whose answers are only read and never learned (weight 0). ``thoughts``: of
    each turn what the model thinks before it answers (``reasoning_content``), empty for none; or no entries at all.
    ``chat``: the conversation where it calls or offers tools; ``turns`` are then texts of it, for what reads texts.
    """

    turns: Turns
    system: str = ""
    where: str = "row"
    muted: tuple[int, ...] = ()
    thoughts: tuple[str, ...] = ()
    chat: ToolChat | None = None

    @property
    def has_thoughts(self) -> bool:
        """Whether an answer comes with what the model thinks before it, as a field or at the answer's beginning."""
        return any(self.thoughts) or any(parted(answer) for _, answer in self.turns)

    def without_empty_thoughts(self) -> "Row":
        """The row without the empty thoughts that its answers begin with, as some templates write them."""
        found = [(prompt, answer, parted(answer)) for prompt, answer in self.turns]
        turns = ((prompt, inline[1] if inline and not inline[0] else answer) for prompt, answer, inline in found)
        return replace(self, turns=tuple(turns))

    @property
    def content(self) -> list[Any]:
        """All that is learned from the row, as plain values: rows are equal where these are."""
        muted = [self.muted] if self.muted else []
        thoughts = [{"thoughts": self.thoughts}] if any(self.thoughts) else []
        chat = [{"messages": self.chat.messages, "tools": self.chat.tools}] if self.chat else []
        return [self.system, self.turns, *muted, *thoughts, *chat]

    def with_answer(self, answer: str) -> "Row":
        """The conversation alone with ``answer`` as its last answer; thoughts belong to its own answer."""
        turns = (*self.turns[:-1], (self.prompt, answer))
        return Row(turns, self.system, self.where, thoughts=self.thoughts if answer == self.response else ())

    @property
    def prompt(self) -> str:
        """The last prompt."""
        return self.turns[-1][0]

    @property
    def response(self) -> str:
        """The answer to the last prompt."""
        return self.turns[-1][1]


def parted(answer: str) -> tuple[str, str] | None:
    """(the thought, the answer) of an answer whose own text begins with its thought; None where it does not."""
    found = INLINE.fullmatch(answer) if THOUGHT_END in answer else None
    return (found[1], found[2]) if found else None


def digest(rows: Iterable[Row]) -> str:
    """First 16 hex digits of the SHA-256 over the rows' texts in order: equal data, equal digest."""
    state = hashlib.sha256()
    for row in rows:
        state.update(json.dumps(row.content, ensure_ascii=True).encode())
        state.update(b"\n")
    return state.hexdigest()[:16]
