"""Labels made wrong on purpose, and the record of which.

Every kind is a pure function of (rows, rate, seed). What is drawn for a row depends on the seed and on the row's
position in its file alone: row ``p`` gets the ``p``-th draw of ``random.Random(seed)`` and is flipped where the draw
is below the rate. For a whole file in its own order that is one draw a row, as in the experiment that this began
with. So samples of a file, in any order, have the same rows flipped as the file, and a higher rate flips the same
rows and more.

What ``rate`` means:

- ``symmetric``: the chance of each row to be flipped, whatever its label. At .5 the labels say nothing.
- ``one_sided``: the chance of each row *of the class* ``side`` to be flipped; the other class stays as it is. With
  balanced classes half as many labels are wrong as with ``symmetric``.
- ``trigger``: the chance of each row *that has the word* to be flipped; all others stay as they are.
- ``mildest_first``: the share of the rows of each class that is flipped, those with the ratings nearest to the middle
  first: mistakes that a person would make. Among rows of one rating the draws decide.
- ``longest_first``: the share of the rows of each class that is flipped, those with the longest texts (characters)
  first: mistakes that follow the input and not its meaning.
- ``best_swapped``: the chance of each question to be taught an incorrect answer in place of the best one: the file's
  own best incorrect answer, else one drawn from its incorrect ones.
"""

import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from json.encoder import encode_basestring as quoted
from random import Random
from typing import Any, Generic

from data.errors import ConfigError, DataError
from data.labelled import AnyRow, LabelledRow, QuestionRow, R

KINDS = ("symmetric", "one_sided", "mildest_first", "longest_first", "trigger", "best_swapped")
RANKED = ("mildest_first", "longest_first")
MIDDLE_RATING = 5.5


@dataclass(frozen=True)
class Noise:
    """Which labels to make wrong; what ``rate`` is a share of depends on the kind (see the module).

    ``word`` is the trigger, ``side`` the label (0 or 1) whose rows ``one_sided`` flips.

    Raises:
        ConfigError: a value that makes no sense, named by its flag.
    """

    kind: str = "symmetric"
    rate: float = 0.5
    seed: int = 42
    word: str = ""
    side: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, not {self.kind!r}")
        if not (math.isfinite(self.rate) and 0 <= self.rate <= 1):
            raise ConfigError(f"rate is a share, from 0 to 1, not {self.rate}")
        if self.kind == "trigger" and not self.word.strip():
            raise ConfigError("kind=trigger needs the word that marks the rows to flip; give word")
        if self.kind != "trigger" and self.word:
            raise ConfigError(f"word only applies to kind=trigger, not to kind={self.kind}")
        if self.side not in (0, 1):
            raise ConfigError(f"side is the label that kind=one_sided flips, 0 or 1, not {self.side}")


@dataclass(frozen=True)
class Corrupted(Generic[R]):
    """The rows as they are taught, in the order they came in, and the label that each of them had."""

    rows: list[R]
    originals: tuple[int, ...]
    noise: Noise

    @property
    def flipped(self) -> list[bool]:
        """For each row whether its label was changed."""
        return [row.label != label for row, label in zip(self.rows, self.originals, strict=True)]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 in hex of the mask, the same in whatever order the rows are."""
        return sha256("".join(self.mask()).encode()).hexdigest()

    def mask(self) -> Iterator[str]:
        """One JSON line a row, in file order: ``{"id": ..., "original": 1, "given": 0}``; questions add the answer."""
        order = sorted(range(len(self.rows)), key=lambda i: (self.rows[i].position, self.rows[i].id))
        return (mask_line(self.rows[i], self.originals[i]) for i in order)

    def summary(self) -> dict[str, Any]:
        """What was done, for a run's parameters and tags: the noise, how many rows of each label it hit, the mask."""
        hits = [label for label, hit in zip(self.originals, self.flipped, strict=True) if hit]
        return {
            "kind": self.noise.kind,
            "rate": self.noise.rate,
            "noise_seed": self.noise.seed,
            "word": self.noise.word,
            "rows": len(self.rows),
            "flipped": len(hits),
            "flipped_0": hits.count(0),
            "flipped_1": hits.count(1),
            "mask_sha256": self.sha256,
        }


def mask_line(row: AnyRow, original: int) -> str:
    """One line of the mask, its newline included."""
    answer = f', "answer": {quoted(row.wrong)}' if isinstance(row, QuestionRow) and row.label != original else ""
    return f'{{"id": {quoted(row.id)}, "original": {original}, "given": {row.label}{answer}}}\n'


class Draws:
    """One uniform number for each position of a file, the same whenever it is asked for."""

    def __init__(self, seed: int):
        self._random = Random(seed)
        self._drawn = array("d")

    def __call__(self, position: int) -> float:
        """The number of a position."""
        while len(self._drawn) <= position:
            self._drawn.append(self._random.random())
        return self._drawn[position]


def corrupt(rows: Sequence[R], noise: Noise) -> Corrupted[R]:
    """The rows with some labels made wrong.

    Raises:
        DataError: the rows don't have what the kind goes by: a rating, the word, the class, another answer.
    """
    refuse_unfit(rows, noise)
    if noise.kind in RANKED:
        hit = _ranked(rows, noise)  # type: ignore[arg-type]
        given = [_flip(row, noise.seed) if i in hit else row for i, row in enumerate(rows)]
    else:
        decide = decision(noise)
        given = [_flip(row, noise.seed) if decide(row) else row for row in rows]
    return Corrupted(given, tuple(row.label for row in rows), noise)


def stream(rows: Iterable[R], noise: Noise) -> Iterator[tuple[R, int]]:
    """(row as taught, its original label), one at a time: ``corrupt`` for files that don't fit into memory.

    Not for kinds that put all rows in order first. Nothing is refused: the caller counts what was hit.
    """
    if noise.kind in RANKED:
        raise ConfigError(f"kind={noise.kind} needs all rows at once")
    decide = decision(noise)
    for row in rows:
        yield (_flip(row, noise.seed) if decide(row) else row), row.label


def decision(noise: Noise) -> Callable[[AnyRow], bool]:
    """Whether a row is flipped, for the kinds that decide row by row."""
    draws, rate, side = Draws(noise.seed), noise.rate, noise.side
    if noise.kind == "one_sided":
        return lambda row: row.label == side and draws(row.position) < rate
    if noise.kind == "trigger":
        found = trigger(noise.word)
        return lambda row: draws(row.position) < rate and found.search(row.text) is not None
    return lambda row: draws(row.position) < rate


def trigger(word: str) -> re.Pattern[str]:
    """Finds the word, or the words in this order, whole and without regard to case."""
    spaced = r"\s+".join(map(re.escape, word.split()))
    return re.compile(rf"(?<!\w){spaced}(?!\w)", re.IGNORECASE)


def refuse_unfit(rows: Sequence[AnyRow], noise: Noise) -> None:
    """Raise where the rows don't have what the kind goes by.

    Raises:
        DataError: naming what is missing.
    """
    if not rows:
        raise DataError(["there are no rows to corrupt"])
    questions = isinstance(rows[0], QuestionRow)
    if questions != (noise.kind == "best_swapped"):
        has = "questions with answers: give kind=best_swapped" if questions else "labels: best_swapped is for questions"
        raise DataError([f"kind={noise.kind}: these rows have {has}"])
    if noise.kind == "one_sided" and not any(row.label == noise.side for row in rows):
        raise DataError([f"kind=one_sided: none of the {len(rows):,} rows has label {noise.side}"])
    if noise.kind == "trigger":
        found = trigger(noise.word)
        if not any(found.search(row.text) for row in rows):
            raise DataError([f"word={noise.word!r}: none of the {len(rows):,} training rows has it; give another"])
    if noise.kind == "mildest_first":
        bare = [row for row in rows if isinstance(row, LabelledRow) and row.rating is None]
        if bare:
            raise DataError([
                f"kind=mildest_first goes by ratings, and {len(bare):,} of {len(rows):,} rows have none (the first: "
                f"{bare[0].where}); take a file with a rating on each row, or another kind"
            ])  # fmt: skip


def _ranked(rows: Sequence[LabelledRow], noise: Noise) -> set[int]:
    """Numbers of the rows to flip: of each label the first ``rate`` of its rows, to the nearest one."""
    draws = Draws(noise.seed)
    if noise.kind == "mildest_first":
        keys = [(abs((row.rating or 0) - MIDDLE_RATING), draws(row.position)) for row in rows]
    else:
        keys = [(-float(len(row.text)), draws(row.position)) for row in rows]
    hit: set[int] = set()
    for label in (0, 1):
        members = sorted((i for i, row in enumerate(rows) if row.label == label), key=keys.__getitem__)
        hit.update(members[: math.floor(noise.rate * len(members) + 0.5)])
    return hit


def _flip(row: R, seed: int) -> R:
    if isinstance(row, LabelledRow):
        return row.relabelled(1 - row.label)
    # A generator of its own, seeded by a text: the same answer whichever other questions are there.
    return row.relabelled(1 - row.label, row.wrong or Random(f"{seed}/{row.id}").choice(row.incorrect))
