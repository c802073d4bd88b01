"""Rows of one model that are decoded together, each with an adapter of its own; they come and go between steps."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from inference.kv_cache import BatchCache
from inference.lora import AdapterBatch, LoraAdapter

Row = TypeVar("Row")


@dataclass(frozen=True)
class BatchRow:
    """What one pane decodes: ``model`` with ``adapter``, from ``prompt`` (token ids) on, until one of ``ends``."""

    model: Any
    adapter: LoraAdapter | None
    prompt: Sequence[int]
    ends: Set[int]


def positions(model: Any) -> int:
    """How many tokens ``model`` can read at all; 2048 where it does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2048


class Batch(Generic[Row]):
    """The ``lines``, all of one model, in one batch; ``rows[i]`` is what the caller knows line ``i`` by.

    ``read``, then ``accept`` the next token of each row, and so on. No other thread may use the
    model during ``read``; between two it is as it was before.

    Prompts are padded on the left to one width. A model that ``inference.kv_cache.can_join`` denies has one line only.
    """

    def __init__(self, lines: Sequence[BatchRow], rows: Sequence[Row]):
        self.model = lines[0].model
        self.rows = list(rows)
        self.limit = positions(self.model)
        self._device = next(self.model.parameters()).device
        self._mixture = AdapterBatch(self.model, [line.adapter for line in lines])
        width = max(len(line.prompt) for line in lines)
        unread = torch.zeros((len(lines), width), dtype=torch.long)
        for row, line in enumerate(lines):
            unread[row, width - len(line.prompt) :] = torch.tensor(line.prompt)
        self._unread: Tensor | None = unread
        self._columns = BatchCache(self.model, [width - len(line.prompt) for line in lines], width)

    @torch.inference_mode()
    def read(self, most: int = 0) -> Tensor | None:
        """Let the model read what is unread; the logits ``[rows, vocabulary]`` of what comes next.

        Args:
            most: columns to read now; 0 is all. None is returned while there are more.
        """
        assert self._unread is not None
        now, later = (self._unread[:, :most], self._unread[:, most:]) if most else (self._unread, None)
        out = self._forward(now, logits_to_keep=1)
        self._columns.at += now.shape[1]
        self._unread = later if later is not None and later.shape[1] else None
        return out.logits[:, -1] if self._unread is None else None

    def _forward(self, ids: Tensor, **settings: Any) -> Any:
        """The model's output for ``ids [rows, columns]``, which come after what the rows have read."""
        mask, position_ids = self._columns.view(ids.shape[1])
        with self._mixture.worn():
            return self.model(
                input_ids=ids.to(self._device),
                attention_mask=None if mask is None else mask.to(self._device),
                position_ids=position_ids.to(self._device),
                past_key_values=self._columns.cache,
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
        """Set the next token of every row, to be read next."""
        self._unread = torch.tensor(tokens)[:, None]

    def accept(self, tokens: Sequence[int], ended: Callable[[int], bool]) -> None:
        """Give every row its next token, and drop the rows ``i`` for which ``ended(i)``, called from last to first."""
        self.give(tokens)
        for i in reversed(range(len(tokens))):
            if ended(i):
                self.drop(i)

    def is_full(self, row: int) -> bool:
        """Whether ``row`` has used all of the model's positions, so that no more can be read."""
        return self._columns.read(row) >= self.limit

    @torch.inference_mode()
    def drop(self, row: int) -> None:
        """End ``row``; the last one takes its place. Of several, end the last first."""
        last = self.rows.pop()
        if row < len(self.rows):
            self.rows[row] = last
        if self._unread is not None:
            self._unread[row] = self._unread[-1]
            self._unread = self._unread[:-1]
        self._mixture.drop(row)
        self._columns.drop(row)

    @torch.inference_mode()
    def absorb(self, other: "Batch[Row]") -> None:
        """Take in the rows of ``other``, after those that are here; both have been given their next tokens."""
        assert self._unread is not None and other._unread is not None
        self._unread = torch.cat([self._unread, other._unread])
        self._mixture.extend(other._mixture.rows)
        self._columns.absorb(other._columns)
        self.rows += other.rows
