"""From conversations to tokens and labels: which tokens are trained, checked row by row."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from data.chat_format import chat_format
from data.chat_template import Segment, pieces, row_sequences
from data.conversation import Row
from data.errors import DataError
from data.preferences import Preference, Rating

IGNORE = -100


@dataclass(frozen=True)
class Example:
    """One tokenised row: ``input_ids`` and ``labels``, both ``[tokens]`` of int32.

    ``labels[i]`` is ``input_ids[i]`` where that token is trained and ``IGNORE`` elsewhere (not shifted: token ``i``
    is predicted from position ``i - 1``, so ``labels[0]`` is always ``IGNORE``). ``cut``: tokens that were cut off.
    """

    input_ids: np.ndarray
    labels: np.ndarray
    truncated: bool = False
    cut: int = 0

    @cached_property
    def trained(self) -> int:
        """How many tokens of this row are trained."""
        return int((self.labels != IGNORE).sum())

    @property
    def sequences(self) -> tuple["Example", ...]:
        """The token sequences of this row: itself alone."""
        return (self,)


@dataclass(frozen=True)
class Pair:
    """One tokenised preference: a preferred and a rejected answer, usually to one prompt.

    ``reference``: the log-probabilities of both answers under a reference model, each summed over its trained tokens,
    in nats; None where the loss needs no reference model.
    """

    chosen: Example
    rejected: Example
    reference: tuple[float, float] | None = None

    @property
    def trained(self) -> int:
        """How many tokens of both answers are trained."""
        return self.chosen.trained + self.rejected.trained

    @property
    def sequences(self) -> tuple[Example, ...]:
        """The token sequences of this row: chosen, then rejected."""
        return (self.chosen, self.rejected)


@dataclass(frozen=True)
class Rated:
    """One tokenised answer that is good or bad, and another row's answer to the same prompt.

    ``reference``: the log-probabilities of both under a reference model, each summed over its trained tokens, in nats.
    """

    answer: Example
    mismatched: Example
    good: bool
    reference: tuple[float, float] | None = None

    @property
    def trained(self) -> int:
        """How many tokens of the answer are trained; nothing is learned of the other."""
        return self.answer.trained

    @property
    def sequences(self) -> tuple[Example, ...]:
        """The token sequences of this row: the answer, then the other row's."""
        return (self.answer, self.mismatched)


#: What a loss is computed from: one training row.
TrainingRow = Example | Pair | Rated


def encode(rows: Sequence[Row], tokenizer: Any, labels: str = "response", max_length: int = 512) -> list[Example]:
    """Tokenise ``rows``; ``labels`` is ``response`` (answers and their ends) or ``all`` (every token but the first).

    With ``response``, answers that a row marks as muted are not trained. A row is one example, or several where its
    template writes an earlier turn differently once others follow (``data.chat_template.sequences``).

    Prompt and answer are encoded apart, so no token spans both. An example longer than ``max_length`` tokens loses its
    tail and is marked ``truncated``; one of which no trained token is left is dropped where its row has others.

    Raises:
        DataError: rows of which no trained token is left, whose texts hold a control token, or whose labels do not
            decode to the answer; or a chat template that can't be used, refuses a row or has no place for its thoughts.
    """
    control = chat_format(tokenizer).control
    examples: list[Example] = []
    problems: list[str] = []
    for row in rows:
        try:
            _refuse_control_tokens(row, control)
            examples += _encode_row(row, tokenizer, labels, max_length)
        except DataError as error:
            problems += [f"{row.where}: {problem}" for problem in error.problems]
    if problems:
        raise DataError(problems)
    return examples


def encode_pairs(rows: Sequence[Preference], tokenizer: Any, max_length: int = 512) -> list[Pair]:
    """Tokenise preferences: of both answers the last turn is trained, with its end.

    Raises:
        DataError: as ``encode``, of both answers.
    """
    chosen, rejected = (
        _last_answers(
            [each.with_answer(answer) for each, answer in zip(rows, answers, strict=True)], tokenizer, max_length
        )
        for answers in ([row.response for row in rows], [row.rejected for row in rows])
    )
    return [Pair(*both) for both in zip(chosen, rejected, strict=True)]


def encode_rated(rows: Sequence[Rating], tokenizer: Any, max_length: int = 512) -> list[Rated]:
    """Tokenise rated answers, each with the answer of the row after it as the mismatched one (the last: the first's).

    Raises:
        DataError: as ``encode``.
    """
    others = [*rows[1:], *rows[:1]]
    answers = _last_answers([row.with_answer(row.response) for row in rows], tokenizer, max_length)
    mismatched = [row.with_answer(other.response) for row, other in zip(rows, others, strict=True)]
    found = zip(answers, _last_answers(mismatched, tokenizer, max_length), rows, strict=True)
    return [Rated(answer, other, row.good) for answer, other, row in found]


def _last_answers(rows: Sequence[Row], tokenizer: Any, max_length: int) -> list[Example]:
    """One example a row, in which its last answer alone is trained."""
    return encode(
        [replace(row, muted=tuple(range(len(row.turns) - 1))) for row in rows], tokenizer, "response", max_length
    )


def _encode_row(row: Row, tokenizer: Any, labels: str, max_length: int) -> list[Example]:
    found = row_sequences(tokenizer, row)
    muted = row.muted if labels == "response" else ()
    whole = [_encode_sequence(each, tokenizer, labels, muted) for each in found]
    kept = [each for each in (_cut(example, max_length) for example in whole) if each.trained]
    if not kept:
        raise DataError([f"its prompt alone fills max_length={max_length} tokens, so nothing is left to train on"])
    return kept


def _encode_sequence(sequence: Sequence[Segment], tokenizer: Any, labels: str, muted: Sequence[int]) -> Example:
    ids: list[int] = []
    marks: list[int] = []
    end = len(chat_format(tokenizer).end)
    for segment, piece in pieces(sequence, tokenizer):
        if segment.is_answer:
            _check_answer(piece[:-end], segment.text, tokenizer)
        trained = labels == "all" or (segment.is_answer and segment.turn not in muted)
        ids += piece
        marks += piece if trained else [IGNORE] * len(piece)
    marks[0] = IGNORE
    return Example(_array(ids), _array(marks))


def _cut(example: Example, max_length: int) -> Example:
    if len(example.input_ids) <= max_length:
        return example
    cut = len(example.input_ids) - max_length
    return Example(example.input_ids[:max_length], example.labels[:max_length], truncated=True, cut=cut)


def _refuse_control_tokens(row: Row, control: re.Pattern[str]) -> None:
    """Refuse texts that hold an end or a role token: they would end an answer, or open a turn, in the middle."""
    found = {token for text in (row.system, *row.thoughts, *sum(row.turns, ())) for token in control.findall(text)}
    if found:
        raise DataError([f"its text holds {', '.join(sorted(found))}, which this tokenizer reads as a control token"])


def _array(ids: list[int]) -> np.ndarray:
    return np.array(ids, dtype=np.int32)


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _check_answer(ids: list[int], text: str, tokenizer: Any) -> None:
    decoded = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    if _composed(decoded) != _composed(text):  # Qwen's tokenizers write every text in this form
        raise DataError(
            [f"the labels decode to {decoded!r}, not to the response {text!r}: this tokenizer can't write it"]
        )
