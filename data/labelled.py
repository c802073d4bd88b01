"""Rows with a label, which may be wrong on purpose: film reviews with a sentiment, questions with a best answer.

``data.datasets.load`` finds them by the name of their data set, ``data.corruption`` changes labels, and
``data.prompts`` turns a row into what a model reads and answers.

Two kinds of rows share what matters to all of these: ``text`` (what the model reads), ``label`` (the class),
``id``, ``position`` and ``strata``. Rows are frozen, so a text and its label can't drift apart: whoever changes a
label makes a new row with the same text (``relabelled``).
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

#: The names of the labels 0 and 1, in this order.
SENTIMENTS = ("negative", "positive")
ANSWERS = ("incorrect", "best")
Labels = tuple[str, str]
Stratum = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One text of one of two classes.

    ``label`` is 0 or 1, an index into the data set's label names. ``id`` is the row's own within its file,
    ``position`` its place there, counted from 0, which stays the same however rows are sampled or shuffled: what is
    drawn for a row (see ``data.corruption``) depends on nothing else. ``rating`` is 1 to 10 where there is one.
    """

    text: str
    label: int
    id: str
    position: int
    where: str = "row"
    rating: int | None = None
    category: str | None = None

    @property
    def strata(self) -> Stratum:
        """What a sample keeps the shares of, within a label: the rating and the category."""
        return (str(self.rating), str(self.category))

    def answer(self, labels: Labels) -> str:
        """The response that is trained on: the name of the label."""
        return labels[self.label]

    def relabelled(self, label: int) -> "LabelledRow":
        """The same row with another label."""
        # Not dataclasses.replace: it takes eight times as long, and corrupting IMDB does this 25,000 times.
        return LabelledRow(self.text, label, self.id, self.position, self.where, self.rating, self.category)


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One question (its ``text``) with answers that are right and answers that are wrong.

    ``label`` is 1 where ``best`` is the response, as in every file, and 0 where ``wrong`` is. ``wrong`` is the
    file's own best incorrect answer, or empty until a corruption draws one from ``incorrect``. ``correct`` holds
    ``best`` too. ``kind`` is TruthfulQA's type: Adversarial or Non-Adversarial.
    """

    text: str
    best: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]
    id: str
    position: int
    where: str = "row"
    wrong: str = ""
    label: int = 1
    category: str | None = None
    kind: str | None = None

    @property
    def strata(self) -> Stratum:
        """What a sample keeps the shares of: the category and the type."""
        return (str(self.category), str(self.kind))

    @property
    def mc1(self) -> tuple[tuple[str, bool], ...]:
        """The choices of MC1, each with whether it is true: the best answer and every incorrect one."""
        return ((self.best, True), *((choice, False) for choice in self.incorrect))

    @property
    def mc2(self) -> tuple[tuple[str, bool], ...]:
        """The choices of MC2, each with whether it is true: every correct and every incorrect answer."""
        return (*((choice, True) for choice in self.correct), *((choice, False) for choice in self.incorrect))

    def answer(self, labels: Labels) -> str:
        """The response that is trained on; ``labels`` is not used, but both kinds of rows have the same interface."""
        return self.best if self.label else self.wrong

    def relabelled(self, label: int, wrong: str = "") -> "QuestionRow":
        """The same row with the best answer (1) or the incorrect answer ``wrong`` (0) as the response."""
        return replace(self, label=label, wrong=wrong or self.wrong)


AnyRow = LabelledRow | QuestionRow
R = TypeVar("R", LabelledRow, QuestionRow)


@dataclass(frozen=True)
class LoadReport:
    """What was found while reading, and what was taken out before any sampling. All are numbers of rows.

    ``*_duplicates`` are later copies of a text of the same file with the same label, ``*_exact`` those of them that
    are equal to the letter; ``*_contradictions`` are rows whose text occurs with both labels, all of which are taken
    out; ``leaked`` are training rows whose text is in the test too, ``near_duplicates`` drawn ones whose text is nearly
    that of a drawn test row. ``train_sorted`` and ``test_sorted`` say whether the file itself is sorted by label: its
    first rows are then all of one class. ``unused_columns`` hold something
    that is not used.
    """

    train_read: int
    test_read: int
    train_duplicates: int = 0
    train_exact: int = 0
    test_duplicates: int = 0
    test_exact: int = 0
    train_contradictions: int = 0
    test_contradictions: int = 0
    leaked: int = 0
    near_duplicates: int = 0
    train_sorted: bool = False
    test_sorted: bool = False
    unused_columns: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What a user should know, one sentence each; empty where nothing was out of the ordinary."""
        found = [
            (self.train_duplicates, "training", f"repeat another one's text ({self.train_exact:,} to the letter)"),
            (self.test_duplicates, "test", f"repeat another one's text ({self.test_exact:,} to the letter)"),
            (self.train_contradictions, "training", "have a text that occurs with both labels"),
            (self.test_contradictions, "test", "have a text that occurs with both labels"),
            (self.leaked, "training", "have a text that is in the test too"),
            (self.near_duplicates, "training", "have nearly the text of a test row"),
        ]
        lines = [f"{count:,} {which} rows {what}: taken out" for count, which, what in found if count]
        for is_sorted, which in ((self.train_sorted, "training"), (self.test_sorted, "test")):
            if is_sorted:
                lines.append(f"the {which} file is sorted by label: rows are drawn from all of it, never from its top")
        if self.unused_columns:
            lines.append(f"columns not used: {', '.join(self.unused_columns)}")
        return lines


@dataclass(frozen=True)
class Dataset(Generic[R]):
    """Rows to train on and rows to test on, which share no text, each in a seeded order of mixed labels."""

    name: str
    train: list[R]
    test: list[R]
    labels: Labels
    report: LoadReport = field(default_factory=lambda: LoadReport(0, 0))

    @property
    def is_questions(self) -> bool:
        """Whether rows are questions with answers, not texts with a class."""
        return isinstance((self.train or self.test)[0], QuestionRow)

    def digests(self) -> dict[str, str]:
        """The SHA-256 of both lists, to be kept with a run."""
        return {"train_sha256": sha256_of(self.train), "test_sha256": sha256_of(self.test)}


def sha256_of(rows: Iterable[AnyRow]) -> str:
    """SHA-256 in hex over the content of the rows, in order: ids, texts, labels and the answers of questions."""
    state = hashlib.sha256()
    for row in rows:
        for part in _content(row):
            raw = part.encode()
            state.update(len(raw).to_bytes(8, "big") + raw)
    return state.hexdigest()


def _content(row: AnyRow) -> Iterator[str]:
    yield from (row.id, row.text, str(row.label))
    if isinstance(row, QuestionRow):
        yield from (row.best, row.wrong, *row.correct, "", *row.incorrect)


def label_counts(rows: Iterable[AnyRow]) -> tuple[int, int]:
    """How many rows have label 0, and how many label 1."""
    counts = Counter(row.label for row in rows)
    return counts[0], counts[1]


def is_sorted(labels: Sequence[int]) -> bool:
    """Whether the labels come in one block each: among ten or more that does not happen by chance."""
    changes = sum(a != b for a, b in zip(labels, labels[1:], strict=False))
    return len(labels) >= 10 and len(set(labels)) > 1 and changes == len(set(labels)) - 1
