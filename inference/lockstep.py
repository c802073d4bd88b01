"""Paired, batched decoding: every pane's next token at the same moment, drawn with the same luck.

Panes that speak with one model, each with an adapter of its own or none, are rows of one batch. Other models go
beside it in lockstep, one token each in turn. One luck a step serves all panes, so that equal models give equal
samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from inference.batch import Batch, BatchRow, positions
from inference.kv_cache import can_join
from inference.sampling import SampledToken, draw
from inference.transcript import Sampling

#: For each line of a batch, token ids that could follow its prompt.
Continuations = Sequence[Sequence[Sequence[int]]]


class Step:
    """One token of every line that had not ended before; ``tokens[i]`` is None where line ``i`` had.

    ``failed``: the errors of lines whose model broke down at this step; the others go on. ``scores``: at the first
    step, for each line the log-probabilities of its continuations in nats, where ``decode`` was given any.
    """

    def __init__(
        self,
        tokens: list[int | None],
        logits: dict[int, Tensor],
        failed: dict[int, Exception],
        scores: Mapping[int, list[float]] = MappingProxyType({}),
    ):
        self.tokens = tokens
        self.failed = failed
        self.scores = scores
        self._logits = logits

    def likeliest(self, line: int, count: int = 5) -> list[tuple[int, float]]:
        """The ``count`` likeliest tokens of ``line`` here and their probabilities, before temperature and top_p."""
        likely = torch.softmax(self._logits[line].float(), -1)
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
        tokens: list[int | None] = [None] * len(lines)
        logits: dict[int, Tensor] = {}
        failed: dict[int, Exception] = {}
        scores: dict[int, list[float]] = {}
        how = SampledToken(sampling.temperature, sampling.top_p, (sampling.seed, turn, at))
        for batch in batches:
            try:
                for row, token, seen in _advance(batch, lines, how, () if at else continuations, scores):
                    tokens[row], logits[row] = token, seen
            except Exception as error:  # one model without memory, or with a forward of its own mind, stops no other
                failed |= dict.fromkeys(batch.rows, error)
                batch.rows.clear()
        if not (logits or failed):
            return
        yield Step(tokens, logits, failed, scores)


def _batches(lines: Sequence[BatchRow], new_tokens: int) -> list[Batch[int]]:
    """The lines of each model in one batch, as far as it can have several; a row is the line's number."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i, line in enumerate(lines):
        groups.setdefault((id(line.model), -1 if can_join(line.model) else i), []).append(i)
    kept = [replace(line, prompt=line.prompt[-room(line.model, new_tokens) :]) for line in lines]
    return [Batch([kept[i] for i in rows], rows) for rows in groups.values()]


@torch.inference_mode()
def _advance(
    batch: Batch[int],
    lines: Sequence[BatchRow],
    how: SampledToken,
    continuations: Continuations,
    scores: dict[int, list[float]],
) -> list[tuple[int, int, Tensor]]:
    """Each row's next token: (line, token, logits ``[vocabulary]``)."""
    if not batch.rows:
        return []
    logits = batch.read()
    assert logits is not None
    if continuations:
        scores |= zip(batch.rows, batch.log_probs(logits, [continuations[row] for row in batch.rows]), strict=True)
    chosen = draw(logits, [how] * len(batch.rows))
    found = list(zip(batch.rows, chosen, logits, strict=True))
    batch.accept(chosen, lambda i: chosen[i] in lines[batch.rows[i]].ends or batch.is_full(i))
    return found


def room(model: Any, new_tokens: int) -> int:
    """The longest prompt, in tokens, that leaves ``model`` positions for ``new_tokens``; at least 1."""
    return max(1, positions(model) - new_tokens)
