"""What the rows of a batch have read: keys and values of every layer, in columns, the newest one last.

Rows of different lengths end at the same column, so one step appends one column to all. Tensors are larger than what is
used: a step writes into them, a row that leaves gives its place to the last one, and rows that come are copied in.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DummyLayer, DynamicCache, DynamicLayer
from transformers.cache_utils import DynamicSlidingWindowLayer as SlidingLayer

SPARE_COLUMNS = 32
WASTE = 4  # so many times the tensors that are needed are too many


def can_join(model: Any) -> bool:
    """Whether rows of ``model`` can come and go: it remembers keys and values, and nothing that has no columns."""
    return all(type(layer) in (DynamicLayer, SlidingLayer, DummyLayer) for layer in _layers(model))


def _layers(model: Any) -> list[Any]:
    return DynamicCache(config=model.config).layers


@dataclass(frozen=True)
class ReadTokens:
    """What a model remembers of the first ``count`` tokens of a sequence.

    ``layers``: keys and values of each layer, ``[heads, count, width]``; they are copies.
    """

    layers: Sequence[tuple[Tensor, Tensor]]
    count: int

    @property
    def bytes(self) -> int:
        """Bytes of all layers."""
        return sum(side.numel() * side.element_size() for sides in self.layers for side in sides)

    def first(self, count: int) -> "ReadTokens":
        """The same of the first ``count`` tokens, as views."""
        return ReadTokens([(keys[:, :count], values[:, :count]) for keys, values in self.layers], count)


class BatchCache:
    """The memory of ``rows`` rows of ``model``, for ``columns`` columns at first; it grows as it is filled.

    ``cache`` is what the model is given. ``begins[i]`` is the column of row ``i``'s first token and ``at`` the column
    that comes next; nothing before ``start`` belongs to any row. A layer with a sliding window keeps all of its
    columns, too: the model's mask is what narrows its view.

    A model that remembers in other ways (``can_join``) has Transformers' own cache, for one row alone.
    """

    def __init__(self, model: Any, begins: list[int], columns: int) -> None:
        self.begins, self.at = begins, 0
        self.shape = len(begins), columns + SPARE_COLUMNS  # of the tensors: rows, columns
        self._layers: list[_Layer] = []
        if can_join(model):
            owner: Any = weakref.proxy(self)  # a reference cycle would keep all of it in memory for long
            found: list[Any] = [layer if type(layer) is DummyLayer else _Layer(owner) for layer in _layers(model)]
            self._layers = [layer for layer in found if isinstance(layer, _Layer)]
            self.cache = Cache(layers=found)
        else:
            assert len(begins) == 1
            self.cache = DynamicCache(config=model.config)
        self._note()

    @property
    def used(self) -> int:
        """Columns that hold something; none where every row begins later."""
        return max(0, self.at - self.start)

    def read(self, row: int) -> int:
        """How many tokens ``row`` has read."""
        return self.at - self.begins[row]

    def view(self, count: int) -> tuple[Tensor | None, Tensor]:
        """Mask ``[rows, columns]`` (None where no row begins later) and position ids for the ``count`` next columns."""
        if self._layers and self.at + count > self.shape[1]:
            self._rebuild(self.shape[0], 2 * (self.used + count) + SPARE_COLUMNS)
        end = self.at + count
        positions = (torch.arange(self.at, end) - self._begins).clamp_(min=0)
        mask = torch.arange(self.start, end) >= self._begins if self._ragged else None
        return mask, positions

    def copy_of(self, row: int, count: int) -> ReadTokens:
        """The first ``count`` tokens that ``row`` has read, of a model that ``can_join``."""
        read = slice(self.begins[row], self.begins[row] + count)
        return ReadTokens([layer.copy_of(row, read) for layer in self._layers], count)

    def take_read(self, known: Sequence[ReadTokens]) -> None:
        """Let each row begin with tokens that were read before; no row has read anything yet.

        The columns up to the first one that a row does not know are filled; what lies after it is to be read.
        """
        at = min(begin + each.count for begin, each in zip(self.begins, known, strict=True))
        for i, layer in enumerate(self._layers):
            layer.write([each.layers[i] for each in known], self.begins, at)
        self.at = at

    def drop(self, row: int) -> None:
        """Forget ``row``; the last row takes its place."""
        last = len(self.begins) - 1
        for layer in self._layers:
            layer.move(last, row)
        self.begins[row] = self.begins[last]
        self.begins.pop()
        self._note()
        rows, columns = self.shape
        if self._layers and self.begins and rows * columns > WASTE * len(self.begins) * (self.used + SPARE_COLUMNS):
            self._rebuild(len(self.begins), self.used + SPARE_COLUMNS)

    def skip(self, columns: int) -> None:
        """Leave out the next ``columns``, in which no row has a token."""
        self.begins = [begin - columns for begin in self.begins]
        self._note()

    def absorb(self, other: "BatchCache") -> None:
        """Take in the rows of ``other``, after those that are here."""
        rows, used = len(self.begins) + len(other.begins), max(self.used, other.used)
        if rows > self.shape[0] or other.used > self.at:
            tall = rows if rows <= self.shape[0] else max(rows, 2 * self.shape[0])
            self._rebuild(tall, used + SPARE_COLUMNS, used)
        for mine, theirs in zip(self._layers, other._layers, strict=True):
            mine.take(theirs, len(self.begins), len(other.begins), other.start, other.used, self.at)
        self.begins += [self.at - other.read(row) for row in range(len(other.begins))]
        self._note()

    def _note(self) -> None:
        self.start = min(self.begins, default=0)
        self._begins = torch.tensor(self.begins)[:, None]
        self._ragged = any(begin != self.start for begin in self.begins)

    def _rebuild(self, rows: int, columns: int, at: int = 0) -> None:
        """Tensors of a new shape that hold the same and have ``at`` as the next column, or the first that can be."""
        at = at or self.used
        for layer in self._layers:
            layer.resize(rows, columns, len(self.begins), self.start, self.at, at)
        self.begins = [begin + at - self.at for begin in self.begins]
        self.at, self.shape = at, (rows, columns)
        self._note()


class _Layer(CacheLayerMixin):
    """Keys and values ``[rows, heads, columns, width]`` of one layer, in tensors that ``columns`` says the use of."""

    is_sliding = False

    def __init__(self, columns: BatchCache) -> None:
        super().__init__()
        self.columns = columns

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, columns = self.columns.shape
        self.keys, self.values = (
            like.new_zeros((rows, like.shape[1], columns, like.shape[3])) for like in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **more: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None and self.values is not None
        rows, at, start = key_states.shape[0], self.columns.at, self.columns.start
        end = at + key_states.shape[2]
        self.keys[:rows, :, at:end] = key_states
        self.values[:rows, :, at:end] = value_states
        return self.keys[:rows, :, start:end], self.values[:rows, :, start:end]

    def get_seq_length(self) -> int:
        return self.columns.used

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.columns.used + query_length, 0

    def get_max_length(self) -> int:
        return -1

    def _tensors(self) -> list[Tensor]:
        return [tensor for tensor in (self.keys, self.values) if tensor is not None]

    def move(self, row: int, to: int) -> None:
        used = slice(self.columns.start, self.columns.at)
        for tensor in self._tensors() if row != to else ():
            tensor[to, :, used] = tensor[row, :, used]

    def copy_of(self, row: int, columns: slice) -> tuple[Tensor, Tensor]:
        keys, values = (tensor[row, :, columns].clone() for tensor in self._tensors())
        return keys, values

    def write(self, known: Sequence[tuple[Tensor, Tensor]], begins: Sequence[int], at: int) -> None:
        self.lazy_initialization(*(side[None] for side in known[0]))
        for row, (sides, begin) in enumerate(zip(known, begins, strict=True)):
            for mine, side in zip(self._tensors(), sides, strict=True):
                mine[row, :, begin:at] = side[:, : max(0, at - begin)]

    def take(self, other: "_Layer", row: int, count: int, start: int, used: int, at: int) -> None:
        for mine, theirs in zip(self._tensors(), other._tensors(), strict=True):
            # what is masked is multiplied by nothing, which an infinity left by an earlier row would survive
            mine[row : row + count, :, : at - used] = 0
            mine[row : row + count, :, at - used : at] = theirs[:count, :, start : start + used]

    def resize(self, rows: int, columns: int, count: int, start: int, end: int, at: int) -> None:
        made = []
        for old in self._tensors():
            new = old.new_zeros((rows, old.shape[1], columns, old.shape[3]))
            new[:count, :, at - (end - start) : at] = old[:count, :, start:end]
            made.append(new)
        self.keys, self.values = made or (None, None)
