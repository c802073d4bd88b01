"""Texts that occur twice: within a list of rows, or in training and test."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic

from data.labelled import R

#: What makes no other text of a text. Not colons and brackets: ":)" and ":(" are different reviews.
FOLDED = b".,;!?'\"` \t\r\n\f\v"
CURLY = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'}


def fingerprint(text: str) -> bytes:
    """16 bytes, equal for texts that differ in nothing but case, spaces, line breaks (``<br />`` too) and .,;!?'"."""
    if "<" in text:
        text = text.replace("<br />", " ")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).casefold()
        for mark, plain in CURLY.items():  # str.translate takes a hundred times as long
            text = text.replace(mark, plain)
    raw = text.lower().encode("utf-8", "surrogatepass")
    return blake2b(raw.translate(None, FOLDED) or raw, digest_size=16).digest()


@dataclass(frozen=True)
class Unique(Generic[R]):
    """Rows of different texts, in order, by the fingerprints of these, and how many were left out: copies, those
    ``exact`` to the letter among them, and rows whose text occurs with both labels.
    """

    by_mark: dict[bytes, R]
    copies: int
    exact: int
    contradictions: int

    @property
    def rows(self) -> list[R]:
        """The rows."""
        return list(self.by_mark.values())

    def without(self, other: "Unique[R]") -> list[R]:
        """The rows whose text is not among those of ``other``."""
        return [row for mark, row in self.by_mark.items() if mark not in other.by_mark]

    def shared(self, other: "Unique[R]") -> list[tuple[R, R]]:
        """Each row whose text is also among those of ``other``, with the other row."""
        return [(row, other.by_mark[mark]) for mark, row in self.by_mark.items() if mark in other.by_mark]


def unique(rows: Sequence[R]) -> Unique[R]:
    """The first row of each text. Texts that occur with both labels go altogether: one of the two must be wrong."""
    groups: dict[bytes, list[R]] = {}
    for row in rows:
        groups.setdefault(fingerprint(row.text), []).append(row)
    kept: dict[bytes, R] = {}
    copies = exact = contradictions = 0
    for mark, group in groups.items():
        if len(group) > 1 and len({row.label for row in group}) > 1:
            contradictions += len(group)
            continue
        kept[mark] = group[0]
        copies += len(group) - 1
        exact += len(group) - len({row.text for row in group})
    return Unique(kept, copies, exact, contradictions)
