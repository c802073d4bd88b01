"""Paired, batched decoding of rows that start together: one token of every row a step, sampled with the same noise.

Rows of one model, each with its own adapter or none, are one batch. Batches of other models take their steps in turn
with it. All rows share one noise vector a step, so that equal models give equal samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from inference.batch import Batch, BatchRow, BatchStep, positions, shared_length
from inference.kv_cache import ReadTokens, can_join
from inference.sampling import TokenSampling
from inference.transcript import Sampling

#: Prompts that are read together, padded to one width, are at most so many tokens, and at most this share is padding;
#: with fewer tokens than the last number, padding costs nothing.
READ_TOKENS, MOST_PADDING, FREE_TOKENS = 2048, 0.1, 64
#: From so many lines on, prompts are read together with those of the same adapter only, and tokens that all of these
#: begin with are read once.
MANY_LINES = 16
#: For each line of a batch, token ids that could follow its prompt.
Continuations = Sequence[Sequence[Sequence[int]]]


@dataclass
class Step:
    """One token of every line that had not ended before; ``tokens[i]`` is None where line ``i`` had.

    The others are by line: ``logits [vocabulary]`` that the token was sampled from; ``failed``, the exception of a
    model that failed at this step, while others go on; ``scores``, the log-probabilities of the line's continuations in
    nats, at the first step and where ``decode`` was given any.
    """

    tokens: list[int | None]
    logits: dict[int, Tensor] = field(default_factory=dict)
    failed: dict[int, Exception] = field(default_factory=dict)
    scores: dict[int, list[float]] = field(default_factory=dict)

    def add(self, step: BatchStep[int]) -> None:
        """Take in one batch's step; its rows are the numbers of the lines."""
        for line, token, logits in zip(step.rows, step.tokens, step.logits, strict=True):
            self.tokens[line], self.logits[line] = token, logits
        if step.scores:
            self.scores |= zip(step.rows, step.scores, strict=True)

    def likeliest(self, line: int, count: int = 5) -> list[tuple[int, float]]:
        """The ``count`` likeliest tokens of ``line`` here and their probabilities, before temperature and top_p."""
        likely = torch.softmax(self.logits[line].float(), -1)
        top = likely.topk(min(count, likely.numel()))
        return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def decode(
    lines: Sequence[BatchRow],
    sampling: Sampling,
    turn: int = 0,
    continuations: Continuations = (),
    seeds: Sequence[int] = (),
    start: int = 0,
) -> Iterator[Step]:
    """Yield one ``Step`` a token until every line has ended, has ``sampling.max_new_tokens``, or has failed.

    Prompts of similar lengths are read together; from the second step on, all lines of a model are one batch.

    Args:
        lines: rows of the same ``model`` object become one batch.
        turn: which prompt of a conversation this is: it gets noise of its own.
        continuations: for each line token ids whose log-probabilities after the prompt are to be computed, from the
            same computation of the prompt; only for models of which ``inference.kv_cache.can_join`` is true.
        seeds: the seed of each line; empty for that of ``sampling``. Lines of one seed share their noise.
        start: how many tokens of the answer stand in the prompts already; the noise goes on after theirs.

    No other thread may use the models while a step is made; between two steps they are as they were before. A prompt
    that leaves too little room loses its beginning, and an answer ends where the model's positions do.
    """
    lines = [replace(line, prompt=line.prompt[-room(line.model, sampling.max_new_tokens - start) :]) for line in lines]
    batches, beginnings = _batches(lines), _Beginnings(lines)
    for at in range(start, sampling.max_new_tokens):
        batches = [batch for batch in batches if batch.rows]
        if not batches:
            return
        step = Step([None] * len(lines))
        how = _how(sampling, seeds or [sampling.seed] * len(lines), turn, at)
        for batch in batches:
            try:
                if at == start:
                    beginnings.give(batch)
                step.add(_step(batch, lines, how, () if at > start else continuations))
            except Exception as error:  # one model without memory, or whose own code fails, stops no other
                step.failed |= dict.fromkeys(batch.rows, error)
                batch.rows.clear()
        if at == start:
            batches = _joined(batches, step)
        yield step


def _how(sampling: Sampling, seeds: Sequence[int], turn: int, at: int) -> list[TokenSampling]:
    """How token ``at`` of each line is sampled; lines of one seed have the same object."""
    known = {
        seed: TokenSampling(sampling.temperature, sampling.top_p, (seed, turn, at)) for seed in dict.fromkeys(seeds)
    }
    return [known[seed] for seed in seeds]


class _Beginnings:
    """The tokens that all prompts of one model and adapter begin with, where these are many; each is read once."""

    def __init__(self, lines: Sequence[BatchRow]) -> None:
        self._lines = lines
        self._read: dict[tuple[int, int], ReadTokens] = {}
        together: dict[tuple[int, int], list[BatchRow]] = {}
        for line in lines:
            together.setdefault(self._key(line), []).append(line)
        self._rows = {
            key: replace(rows[0], prompt=beginning)
            for key, rows in together.items()
            if len(rows) >= MANY_LINES and can_join(rows[0].model) and (beginning := _beginning(rows))
        }

    @staticmethod
    def _key(line: BatchRow) -> tuple[int, int]:
        return id(line.model), id(line.adapter)

    def give(self, batch: Batch[int]) -> None:
        """Let ``batch``, whose rows are of one model and adapter where there are many, begin after them."""
        key = self._key(self._lines[batch.rows[0]])
        if key not in self._rows:
            return
        if key not in self._read:
            reader = Batch([self._rows[key]], [0])
            reader.read()
            self._read[key] = reader.copy_of_read(0, reader.read_of(0))
        batch.take_read([self._read[key]] * len(batch.rows))


def _beginning(rows: Sequence[BatchRow]) -> Sequence[int]:
    """What all prompts begin with; at least one token of each comes after it."""
    first, last = (pick(list(row.prompt) for row in rows) for pick in (min, max))
    return first[: min(shared_length(first, last), *(len(row.prompt) - 1 for row in rows))]


def _batches(lines: Sequence[BatchRow]) -> list[Batch[int]]:
    """Batches in which the prompts are read; a row is the line's number."""
    models: dict[tuple[int, int, int], list[int]] = {}
    few = len(lines) < MANY_LINES
    for i, line in enumerate(lines):
        together = id(line.model), -1 if can_join(line.model) else i, 0 if few else id(line.adapter)
        models.setdefault(together, []).append(i)
    groups = [group for rows in models.values() for group in _of_similar_lengths(rows, lines)]
    return [Batch([lines[i] for i in rows], rows) for rows in groups]


def _of_similar_lengths(rows: Sequence[int], lines: Sequence[BatchRow]) -> list[list[int]]:
    """The rows in groups that waste little on padding, the longest prompts first."""
    groups: list[list[int]] = []
    width, tokens = 0, 0
    for i in sorted(rows, key=lambda i: -len(lines[i].prompt)):
        length = len(lines[i].prompt)
        padded = width * (len(groups[-1]) + 1) if groups else 0
        wasted = padded - tokens - length
        if groups and padded <= READ_TOKENS and (padded <= FREE_TOKENS or wasted <= MOST_PADDING * padded):
            groups[-1].append(i)
            tokens += length
        else:
            groups.append([i])
            width, tokens = length, length
    return groups


def _joined(batches: list[Batch[int]], step: Step) -> list[Batch[int]]:
    """One batch for each model that can have several rows; rows that can't be joined have failed.

    ``batches`` is emptied on the way, so that what was joined is not in memory twice.
    """
    found: dict[tuple[int, int], Batch[int]] = {}
    while batches:
        batch = batches.pop(0)
        first = found.setdefault((id(batch.model), -1 if can_join(batch.model) else len(batches)), batch)
        if first is not batch and batch.rows:
            try:
                first.absorb(batch)
            except Exception as error:  # no memory for what all rows have read
                step.failed |= dict.fromkeys([*first.rows, *batch.rows], error)
                first.rows.clear()
    return list(found.values())


def _step(
    batch: Batch[int], lines: Sequence[BatchRow], how: Sequence[TokenSampling], continuations: Continuations
) -> BatchStep[int]:
    """One step of ``batch``; rows that have ended are dropped from it."""
    step = batch.step(how.__getitem__, continuations=continuations.__getitem__ if continuations else None)
    assert step is not None
    numbered = list(enumerate(zip(step.rows, step.tokens, strict=True)))
    batch.drop_all([i for i, (line, token) in numbered if token in lines[line].ends or batch.is_full(i)])
    return step


def room(model: Any, new_tokens: int) -> int:
    """The longest prompt, in tokens, that leaves ``model`` positions for ``new_tokens``; at least 1."""
    return max(1, positions(model) - new_tokens)
