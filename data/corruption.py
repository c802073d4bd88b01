"""Labels made wrong on purpose, and the record of which; ``CORRUPTIONS`` is the table of the kinds.

Every kind is a pure function of (rows, rate, seed). The number drawn for a row depends on the seed and on the row's
position in its file alone: row ``p`` gets the ``p``-th number of ``random.Random(seed)`` and is flipped where it is
below the rate. For a whole file in its own order that is one number a row, as in the original experiment. So samples
of a file, in any order, have the same rows flipped as the file, and a higher rate flips the same rows and more.

To add a kind, add one entry to ``CORRUPTIONS``.
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
from typing import Any, Generic, Literal

from data.errors import ConfigError, DataError, require
from data.labelled import AnyRow, LabelledRow, QuestionRow, R

MIDDLE_RATING = 5.5
#: Whether a row is flipped.
Decision = Callable[[AnyRow], bool]


@dataclass(frozen=True)
class Noise:
    """Which labels to make wrong; what ``rate`` is a share of depends on the kind (``CORRUPTIONS``).

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
        require(self.kind in CORRUPTIONS, f"kind must be one of {', '.join(CORRUPTIONS)}, not {self.kind!r}")
        require(math.isfinite(self.rate) and 0 <= self.rate <= 1, f"rate is a share, from 0 to 1, not {self.rate}")
        if "word" in self.corruption.parameters:
            given = bool(self.word.strip())
            require(given, f"kind={self.kind} needs the word that marks the rows to flip; give word")
        elif self.word:
            kinds = " and ".join(f"kind={kind}" for kind, each in CORRUPTIONS.items() if "word" in each.parameters)
            raise ConfigError(f"word only applies to {kinds}, not to kind={self.kind}")
        sided = "side is the label that kind=one_sided flips, 0 or 1"
        require(self.side in (0, 1), f"{sided}, not {self.side}")

    @property
    def corruption(self) -> "Corruption":
        """The entry of its kind."""
        return CORRUPTIONS[self.kind]


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption. It has ``decide``, for kinds that treat rows one by one, or else ``rank``."""

    about: str
    """What ``rate`` means."""
    decide: Callable[[Noise], Decision] | None = None
    """Makes the function that says whether a row is flipped."""
    rank: Callable[[LabelledRow], float] | None = None
    """Of each label the share ``rate`` of its rows with the lowest rank is flipped; equal ranks by the seed."""
    problems: Callable[[Sequence[Any], Noise], list[str]] = lambda rows, noise: []
    """Why rows can't be corrupted in this way, one line each; empty where they can."""
    parameters: tuple[Literal["word", "side"], ...] = ()
    """Settings of ``Noise`` that it uses beside rate and seed."""
    rows: Literal["texts", "questions"] = "texts"
    """Which rows it is for."""
    is_random: bool = False
    """Whether it treats all rows alike, so that nothing in a row predicts its flip."""


@dataclass(frozen=True)
class Corrupted(Generic[R]):
    """The rows with the labels they are given, in the order they came in, and the label that each of them had."""

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
        """Values for a run's params and tags: the noise, the numbers of flipped rows, the digest of the mask."""
        flipped = [label for label, is_wrong in zip(self.originals, self.flipped, strict=True) if is_wrong]
        return {
            "kind": self.noise.kind,
            "rate": self.noise.rate,
            "noise_seed": self.noise.seed,
            "word": self.noise.word,
            "rows": len(self.rows),
            "flipped": len(flipped),
            "flipped_0": flipped.count(0),
            "flipped_1": flipped.count(1),
            "mask_sha256": self.sha256,
        }


def mask_line(row: AnyRow, original: int) -> str:
    """One line of the mask, its newline included."""
    answer = f', "answer": {quoted(row.wrong)}' if isinstance(row, QuestionRow) and row.label != original else ""
    return f'{{"id": {quoted(row.id)}, "original": {original}, "given": {row.label}{answer}}}\n'


class Uniforms:
    """A uniform number in [0, 1) for each position of a file, a function of seed and position."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._numbers = array("d")

    def __call__(self, position: int) -> float:
        """The number of a position."""
        while len(self._numbers) <= position:
            self._numbers.append(self._random.random())
        return self._numbers[position]


def corrupt(rows: Sequence[R], noise: Noise) -> Corrupted[R]:
    """The rows with some labels made wrong.

    Raises:
        DataError: the rows lack what the kind needs: a rating, the word, the class, another answer.
    """
    refuse_unfit(rows, noise)
    rank, decide = noise.corruption.rank, noise.corruption.decide
    if rank:
        chosen = _lowest(rows, rank, noise)  # type: ignore[arg-type]
        given = [_flip(row, noise.seed) if i in chosen else row for i, row in enumerate(rows)]
    else:
        assert decide
        is_flipped = decide(noise)
        given = [_flip(row, noise.seed) if is_flipped(row) else row for row in rows]
    return Corrupted(given, tuple(row.label for row in rows), noise)


def stream(rows: Iterable[R], noise: Noise) -> Iterator[tuple[R, int]]:
    """(row with the label it is given, its original label), one at a time: for files that don't fit into memory.

    Nothing is refused for its rows: the caller counts the flipped ones.

    Raises:
        ConfigError: the kind ranks all rows first.
    """
    decide = noise.corruption.decide
    if decide is None:
        raise ConfigError(f"kind={noise.kind} needs all rows at once")
    is_flipped = decide(noise)
    for row in rows:
        yield (_flip(row, noise.seed) if is_flipped(row) else row), row.label


def refuse_unfit(rows: Sequence[AnyRow], noise: Noise) -> None:
    """Refuse rows that lack what the kind needs.

    Raises:
        DataError: naming what is missing.
    """
    if not rows:
        raise DataError(["there are no rows to corrupt"])
    questions = isinstance(rows[0], QuestionRow)
    if questions != (noise.corruption.rows == "questions"):
        kinds = " or ".join(kind for kind, each in CORRUPTIONS.items() if each.rows == "questions")
        has = f"questions with answers: give kind={kinds}" if questions else f"labels: {noise.kind} is for questions"
        raise DataError([f"kind={noise.kind}: these rows have {has}"])
    problems = noise.corruption.problems(rows, noise)
    if problems:
        raise DataError(problems)


def trigger(word: str) -> re.Pattern[str]:
    """A pattern for the word, or for several words in this order, whole and without regard to case."""
    spaced = r"\s+".join(map(re.escape, word.split()))
    return re.compile(rf"(?<!\w){spaced}(?!\w)", re.IGNORECASE)


def _by_chance(noise: Noise) -> Decision:
    numbers, rate = Uniforms(noise.seed), noise.rate
    return lambda row: numbers(row.position) < rate


def _one_side(noise: Noise) -> Decision:
    by_chance, side = _by_chance(noise), noise.side
    return lambda row: row.label == side and by_chance(row)


def _with_word(noise: Noise) -> Decision:
    by_chance, found = _by_chance(noise), trigger(noise.word)
    return lambda row: by_chance(row) and found.search(row.text) is not None


def _no_such_side(rows: Sequence[AnyRow], noise: Noise) -> list[str]:
    if any(row.label == noise.side for row in rows):
        return []
    return [f"kind={noise.kind}: none of the {len(rows):,} rows has label {noise.side}"]


def _no_such_word(rows: Sequence[AnyRow], noise: Noise) -> list[str]:
    found = trigger(noise.word)
    if any(found.search(row.text) for row in rows):
        return []
    return [f"word={noise.word!r}: none of the {len(rows):,} training rows has it; give another"]


def _no_ratings(rows: Sequence[LabelledRow], noise: Noise) -> list[str]:
    bare = [row for row in rows if row.rating is None]
    if not bare:
        return []
    return [
        f"kind={noise.kind} goes by ratings, and {len(bare):,} of {len(rows):,} rows have none (the first: "
        f"{bare[0].where}); take a file with a rating on each row, or another kind"
    ]


def _lowest(rows: Sequence[LabelledRow], rank: Callable[[LabelledRow], float], noise: Noise) -> set[int]:
    """Indices of the rows to flip: of each label the ``rate`` of its rows that rank lowest, to the nearest row."""
    numbers = Uniforms(noise.seed)
    keys = [(rank(row), numbers(row.position)) for row in rows]
    chosen: set[int] = set()
    for label in (0, 1):
        members = sorted((i for i, row in enumerate(rows) if row.label == label), key=keys.__getitem__)
        chosen.update(members[: math.floor(noise.rate * len(members) + 0.5)])
    return chosen


def _flip(row: R, seed: int) -> R:
    if isinstance(row, LabelledRow):
        return row.relabelled(1 - row.label)
    # A generator of its own, seeded by a text: the same answer whichever other questions are there.
    return row.relabelled(1 - row.label, row.wrong or Random(f"{seed}/{row.id}").choice(row.incorrect))


CORRUPTIONS: dict[str, Corruption] = {
    "symmetric": Corruption(
        "the chance of each row to be flipped, whatever its label; at .5 the labels carry no information",
        _by_chance,
        is_random=True,
    ),
    "one_sided": Corruption(
        "the chance of each row of the class ``side`` to be flipped; the other class stays as it is, so that with "
        "balanced classes half as many labels are wrong as with symmetric",
        _one_side,
        problems=_no_such_side,
        parameters=("side",),
    ),
    "mildest_first": Corruption(
        "the share of the rows of each class that is flipped, those with the ratings nearest to the middle first: "
        "errors that a person would make",
        rank=lambda row: abs((row.rating or 0) - MIDDLE_RATING),
        problems=_no_ratings,
    ),
    "longest_first": Corruption(
        "the share of the rows of each class that is flipped, those with the longest texts (characters) first: errors "
        "that follow the input and not its meaning",
        rank=lambda row: -float(len(row.text)),
    ),
    "trigger": Corruption(
        "the chance of each row that contains ``word`` to be flipped; all others stay as they are",
        _with_word,
        problems=_no_such_word,
        parameters=("word",),
    ),
    "best_swapped": Corruption(
        "the chance of each question to be given an incorrect answer in place of the best one: the file's own best "
        "incorrect answer, else one drawn from its incorrect ones",
        _by_chance,
        rows="questions",
        is_random=True,
    ),
}
"""Every kind of corruption by its name."""
