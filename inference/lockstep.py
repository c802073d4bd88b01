"""Paired, batched decoding of rows that start together: one token of every row a step, sampled with the same noise.

Rows of one model, each with its own adapter or none, are one batch. Batches of other models take their steps in turn
with it. All rows share one noise vector a step, so that equal models give equal samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from inference.batch import Batch, BatchRow, BatchStep, positions
from inference.kv_cache import can_join
from inference.sampling import TokenSampling
from inference.transcript import Sampling

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
    lines: Sequence[BatchRow], sampling: Sampling, turn: int = 0, continuations: Continuations = ()
) -> Iterator[Step]:
    """Yield one ``Step`` a token until every line has ended, has ``sampling.max_new_tokens``, or has failed.

    Args:
        lines: rows of the same ``model`` object become one batch.
        turn: which prompt of a conversation this is: it gets noise of its own.
        continuations: for each line token ids whose log-probabilities after the prompt are to be computed, from the
            same computation of the prompt; only for models of which ``inference.kv_cache.can_join`` is true.

    No other thread may use the models while a step is made; between two steps they are as they were before. A prompt
    that leaves too little room loses its beginning, and an answer ends where the model's positions do.
    """
    batches = _batches(lines, sampling.max_new_tokens)
    for at in range(sampling.max_new_tokens):
        batches = [batch for batch in batches if batch.rows]
        if not batches:
            return
        step = Step([None] * len(lines))
        how = TokenSampling(sampling.temperature, sampling.top_p, (sampling.seed, turn, at))
        for batch in batches:
            try:
                step.add(_step(batch, lines, how, () if at else continuations))
            except Exception as error:  # one model without memory, or with a forward of its own mind, stops no other
                step.failed |= dict.fromkeys(batch.rows, error)
                batch.rows.clear()
        yield step


def _batches(lines: Sequence[BatchRow], new_tokens: int) -> list[Batch[int]]:
    """The lines of each model in one batch, as far as it can have several; a row is the line's number."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, line in enumerate(lines):
        groups.setdefault((id(line.model), -1 if can_join(line.model) else i), []).append(i)
    kept = [replace(line, prompt=line.prompt[-room(line.model, new_tokens) :]) for line in lines]
    return [Batch([kept[i] for i in rows], rows) for rows in groups.values()]


def _step(
    batch: Batch[int], lines: Sequence[BatchRow], how: TokenSampling, continuations: Continuations
) -> BatchStep[int]:
    """One step of ``batch``; rows that have ended are dropped from it."""
    step = batch.step(lambda line: how, continuations=continuations.__getitem__ if continuations else None)
    assert step is not None
    numbered = list(enumerate(zip(step.rows, step.tokens, strict=True)))
    batch.drop_all([i for i, (line, token) in numbered if token in lines[line].ends or batch.is_full(i)])
    return step


def room(model: Any, new_tokens: int) -> int:
    """The longest prompt, in tokens, that leaves ``model`` positions for ``new_tokens``; at least 1."""
    return max(1, positions(model) - new_tokens)
