"""Preferences: two answers to one prompt of which one was chosen, and answers that were rated good or bad alone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np

from data.conversation import Row

#: From this share of pairs on whose chosen answer is the longer one (or the shorter one), length alone predicts them.
IMBALANCE = 0.75


@dataclass(frozen=True)
class Preference(Row):
    """A conversation whose last answer was chosen over ``rejected``.

    ``annotator``: who chose, empty where that is not known. ``source``: id of the vote that it was made of, or empty.
    """

    rejected: str = ""
    annotator: str = ""
    source: str = ""

    @property
    def content(self) -> list[Any]:
        """All that is learned from the row, as plain values."""
        return [*super().content, {"rejected": self.rejected}]

    @property
    def flipped(self) -> "Preference":
        """The opposite preference."""
        return replace(self, turns=self.with_answer(self.rejected).turns, rejected=self.response, thoughts=())


@dataclass(frozen=True)
class Rating(Row):
    """A conversation whose last answer is a good or a bad one."""

    good: bool = True

    @property
    def flipped(self) -> "Rating":
        """The opposite rating."""
        return replace(self, good=not self.good)

    @property
    def content(self) -> list[Any]:
        """All that is learned from the row, as plain values."""
        return [*super().content, {"good": self.good}]


P = TypeVar("P", Preference, Rating)


def usable(rows: Sequence[Preference]) -> tuple[list[Preference], list[str]]:
    """(the preferences that can be learned from, one sentence for each kind of those left out and each doubt).

    Left out are pairs of equal answers, repetitions, and pairs that one annotator decided both ways. Different
    annotators may disagree: such pairs are counted and stay.
    """
    notes: list[str] = []
    different = [row for row in rows if row.response != row.rejected]
    _note(notes, len(rows) - len(different), "pairs left out: chosen and rejected are the same")
    once = list({(_key(row), row.annotator): row for row in reversed(different)}.values())[::-1]
    _note(notes, len(different) - len(once), "pairs left out: they are there again")
    decided = {(_key(row), row.annotator) for row in once}
    kept = [row for row in once if (_key(row.flipped), row.annotator) not in decided]
    _note(notes, len(once) - len(kept), "pairs left out: the same annotator chose both ways")
    keys = {_key(row) for row in kept}
    _note(notes, sum(_key(row.flipped) in keys for row in kept), "pairs on which annotators disagree stay")
    return kept, notes


def _key(row: Preference) -> tuple[object, ...]:
    return row.system, row.turns, row.rejected


def _note(notes: list[str], count: int, what: str) -> None:
    if count:
        notes.append(f"{count} {what}")


def length_note(rows: Sequence[Preference]) -> Iterable[str]:
    """A sentence that warns where length alone predicts which answer was chosen; none where it does not."""
    if not rows:
        return
    words = np.array([(len(row.response.split()), len(row.rejected.split())) for row in rows])
    difference = words[:, 0] - words[:, 1]
    for which, share in (("longer", (difference > 0).mean()), ("shorter", (difference < 0).mean())):
        if share >= IMBALANCE:
            chosen, rejected = words.mean(0)
            yield (
                f"the chosen answer is the {which} one in {share:.0%} of {len(rows)} pairs ({chosen:.0f} words against "
                f"{rejected:.0f}): length alone predicts them"
            )


def flip(rows: Sequence[P], rate: float, seed: int) -> tuple[list[P], list[bool]]:
    """``rows`` with a share ``rate`` of them turned round, and which these are, in row order.

    Which rows are drawn depends on their number, the rate and the seed alone; with a higher rate the same and others.
    """
    chosen = np.random.default_rng(seed).permutation(len(rows))[: round(rate * len(rows))]
    mask = [bool(each) for each in np.isin(np.arange(len(rows)), chosen)]
    return [cast(P, row.flipped) if turned else row for row, turned in zip(rows, mask, strict=True)], mask


def rated(rows: Iterable[Preference | Rating]) -> list[Rating]:
    """Rated answers: those that are, and of each pair its chosen answer as good and its rejected one as bad.

    Equal answers to one prompt that are rated alike are one.
    """
    found: dict[tuple[object, ...], Rating] = {}
    for row in rows:
        sides = [row] if isinstance(row, Rating) else [_rating(row, row.response), _rating(row, row.rejected)]
        for each in sides:
            found.setdefault((each.system, each.turns, each.good), each)
    return list(found.values())


def _rating(row: Preference, answer: str) -> Rating:
    side = row.with_answer(answer)
    return Rating(side.turns, side.system, side.where, thoughts=side.thoughts, good=answer == row.response)


def counts(rows: Iterable[Rating]) -> tuple[int, int]:
    """How many answers are good, and how many bad."""
    found = Counter(row.good for row in rows)
    return found[True], found[False]
