"""Sequences of one model that are decoded together, each with its own adapter; they join and leave between steps.

This is the one decoding step: ``inference.lockstep`` runs rows that start together, ``serve.engine.scheduler`` rows
that join and leave.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress, count
from operator import ne
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from inference.kv_cache import BatchCache, ReadTokens
from inference.lora import AdapterBatch, LoraAdapter
from inference.sampling import TokenSampling, sample

Row = TypeVar("Row")


@dataclass(frozen=True)
class BatchRow:
    """One sequence to decode: ``model`` with ``adapter``, from ``prompt`` (token ids) on, until a token of ``ends``."""

    model: Any
    adapter: LoraAdapter | None
    prompt: Sequence[int]
    ends: Set[int]


def positions(model: Any) -> int:
    """The longest sequence of ``model`` in tokens; 2048 where its configuration names none."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2048


def shared_length(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    return next(compress(count(), map(ne, one, other)), min(len(one), len(other)))


@dataclass(frozen=True)
class BatchStep(Generic[Row]):
    """One decoding step: ``rows[i]`` got ``tokens[i]``, sampled from ``logits[i]`` of ``[rows, vocabulary]``.

    ``scores[i]``: log-probabilities in nats of the row's continuations, where ``Batch.step`` was given any.
    """

    rows: list[Row]
    tokens: list[int]
    logits: Tensor
    scores: list[list[float]]


@contextmanager
def _observed(model: Any, hidden: Callable[[Tensor], None] | None) -> Iterator[None]:
    """Give ``hidden`` the last hidden states of what ``model`` reads within."""
    if hidden is None:
        yield
        return

    def take(module: object, args: object, output: Any) -> None:
        hidden(output.last_hidden_state)

    handle = model.get_decoder().register_forward_hook(take)
    try:
        yield
    finally:
        handle.remove()


class Batch(Generic[Row]):
    """Sequences of one model in one batch; ``rows[i]`` is the caller's object for sequence ``i``.

    ``step`` samples a token for every row; then ``drop`` the rows that end, and so on. No other thread may use the
    model during ``step``; between two steps the model is as it was before.

    Prompts are padded on the left to one width. A model that ``inference.kv_cache.can_join`` denies has one row only.
    """

    def __init__(self, lines: Sequence[BatchRow], rows: Sequence[Row]) -> None:
        self.model = lines[0].model
        self.rows = list(rows)
        self.limit = positions(self.model)
        self._device = next(self.model.parameters()).device
        self._adapters = AdapterBatch(self.model, [line.adapter for line in lines])
        width = max(len(line.prompt) for line in lines)
        unread = torch.zeros((len(lines), width), dtype=torch.long)
        for row, line in enumerate(lines):
            unread[row, width - len(line.prompt) :] = torch.tensor(line.prompt)
        self._unread: Tensor | None = unread
        self._cache = BatchCache(self.model, [width - len(line.prompt) for line in lines], width)

    @torch.inference_mode()
    def take_read(self, known: Sequence[ReadTokens]) -> None:
        """Let each row begin with tokens that its model and adapter have read before, instead of reading them again.

        They are the beginning of the row's prompt, and shorter than it. No row has read anything yet, and the model is
        one of which ``inference.kv_cache.can_join`` is true.
        """
        assert self._unread is not None
        self._cache.take_read(known)
        self._unread = self._unread[:, self._cache.at :]

    def read_of(self, row: int) -> int:
        """How many tokens ``row`` has read."""
        return max(0, self._cache.read(row))

    @torch.inference_mode()
    def copy_of_read(self, row: int, count: int) -> ReadTokens:
        """The first ``count`` tokens that ``row`` has read, for ``take_read``."""
        return self._cache.copy_of(row, count)

    @torch.inference_mode()
    def step(
        self,
        how: Callable[[Row], TokenSampling],
        most: int = 0,
        continuations: Callable[[Row], Sequence[Sequence[int]]] | None = None,
        every: Callable[[Tensor], None] | None = None,
        hidden: Callable[[Tensor], None] | None = None,
    ) -> BatchStep[Row] | None:
        """Compute the logits, sample each row's next token by ``how`` and append it.

        Args:
            most: columns of the prompts to read in this step; 0 is all. None is returned while there are more.
            continuations: token ids that could come next in a row, to be scored before the token is sampled.
            every: is given the logits of all columns that are read, as in ``read``; ``hidden`` their hidden states.
        """
        logits = self.read(most, every, hidden)
        if logits is None:
            return None
        scores = self.log_probs(logits, list(map(continuations, self.rows))) if continuations else []
        tokens = sample(logits, [how(row) for row in self.rows])
        self.give(tokens)
        return BatchStep(list(self.rows), tokens, logits, scores)

    @torch.inference_mode()
    def read(
        self,
        most: int = 0,
        every: Callable[[Tensor], None] | None = None,
        hidden: Callable[[Tensor], None] | None = None,
    ) -> Tensor | None:
        """Run the model over the tokens that it has not read; the logits ``[rows, vocabulary]`` of the next token.

        Args:
            most: columns to read now; 0 is all. None is returned while there are more.
            every: is given the logits ``[rows, columns, vocabulary]`` of all columns that are read now.
            hidden: is given the model's last hidden states ``[rows, columns, width]`` of these columns.
        """
        assert self._unread is not None
        now, later = (self._unread[:, :most], self._unread[:, most:]) if most else (self._unread, None)
        with _observed(self.model, hidden):
            out = self._forward(now, logits_to_keep=0 if every else 1)
        self._cache.at += now.shape[1]
        self._unread = later if later is not None and later.shape[1] else None
        if every:
            every(out.logits)
        return out.logits[:, -1] if self._unread is None else None

    def _forward(self, ids: Tensor, **settings: Any) -> Any:
        """The model's output for ``ids [rows, columns]``, which come after what the rows have read."""
        mask, position_ids = self._cache.view(ids.shape[1])
        with self._adapters.active():
            return self.model(
                input_ids=ids.to(self._device),
                attention_mask=None if mask is None else mask.to(self._device),
                position_ids=position_ids.to(self._device),
                past_key_values=self._cache.cache,
                use_cache=True,
                **settings,
            )

    @torch.inference_mode()
    def log_probs(self, logits: Tensor, continuations: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
        """Log-probabilities of continuations of what the rows have read, each summed over its tokens, in nats.

        Args:
            logits: ``[rows, vocabulary]`` as ``read`` returned them, which predict the first token of each.
            continuations: for each row the token ids of its continuations; rows may have different numbers of them.

        The first token's probability comes from ``logits``; the others are read from the cache's end, which is then as
        it was before: the next ``read`` writes over them.
        """
        first = logits.float().log_softmax(-1)
        found: list[list[float]] = [[] for _ in self.rows]
        for k in range(max(map(len, continuations), default=0)):
            ids = [each[k] if k < len(each) else [] for each in continuations]
            later = self._look_ahead([row[:-1] for row in ids]) if max(map(len, ids)) > 1 else None
            for i, row in enumerate(ids):
                if row:
                    known = [first[i, row[0]]]
                    if later is not None:
                        known += [later[i, j, token] for j, token in enumerate(row[1:])]
                    found[i].append(float(torch.stack(known).double().sum()))
        return found

    def _look_ahead(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Log-probabilities ``[rows, columns, vocabulary]`` after each of ``tokens``; the cache keeps none of them."""
        width = max(map(len, tokens))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in tokens])
        return self._forward(ids).logits.float().log_softmax(-1)

    def give(self, tokens: Sequence[int]) -> None:
        """Append one token to every row."""
        self._unread = torch.tensor(tokens)[:, None]

    def is_full(self, row: int) -> bool:
        """Whether ``row`` has used all of the model's positions, so that it can't go on."""
        return self._cache.read(row) >= self.limit

    @torch.inference_mode()
    def drop(self, row: int) -> None:
        """Remove ``row``; the last one takes its place."""
        last = self.rows.pop()
        if row < len(self.rows):
            self.rows[row] = last
        if self._unread is not None:
            self._unread[row] = self._unread[-1]
            self._unread = self._unread[:-1]
        self._adapters.drop(row)
        self._cache.drop(row)
        padding = self._cache.start - self._cache.at
        if self._unread is not None and padding > 0:  # no row that is left has a token there
            self._unread = self._unread[:, padding:]
            self._cache.skip(padding)

    def drop_all(self, rows: Iterable[int]) -> None:
        """Remove several rows, by the numbers that they have before."""
        for row in sorted(rows, reverse=True):
            self.drop(row)

    @torch.inference_mode()
    def absorb(self, other: "Batch[Row]") -> None:
        """Append the rows of ``other``; both batches have had their tokens appended."""
        assert self._unread is not None and other._unread is not None
        self._unread = torch.cat([self._unread, other._unread])
        self._adapters.extend(other._adapters.rows)
        self._cache.absorb(other._cache)
        self.rows += other.rows
