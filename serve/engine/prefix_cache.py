"""What a model has read and written lately, kept so that a prompt that begins alike is read from where it differs."""

import weakref
from collections.abc import Sequence

from inference.batch import BatchRow, shared_length
from inference.kv_cache import ReadTokens
from inference.lora import LoraAdapter

#: Bytes of keys and values that are kept of one model.
CAPACITY_BYTES = 128 * 2**20


class PrefixCache:
    """Sequences that one model has read, the least recently used first; beyond ``capacity_bytes`` these go.

    A sequence is known to the adapter that read it, and to no other. It is dropped with the adapter.
    """

    def __init__(self, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity_bytes = capacity_bytes
        self._kept: list[_Kept] = []

    @property
    def bytes(self) -> int:
        """Bytes of the keys and values that are kept."""
        return sum(each.read.bytes for each in self._kept)

    def find(self, row: BatchRow) -> ReadTokens | None:
        """The longest beginning of the row's prompt that is kept, at least one token shorter than it; None for none."""
        prompt = row.prompt[:-1]
        lengths = [shared_length(prompt, each.tokens) if each.is_of(row.adapter) else 0 for each in self._kept]
        best = max(lengths, default=0)
        if not best:
            return None
        self._kept.append(self._kept.pop(lengths.index(best)))
        return self._kept[-1].read.first(best)

    def keep(self, row: BatchRow, tokens: Sequence[int], read: ReadTokens) -> None:
        """Keep what ``row`` has read: ``tokens``, in place of sequences that are the beginning of it."""
        new = _Kept(tuple(tokens), read, weakref.ref(row.adapter) if row.adapter else None)
        self._kept = [
            each
            for each in self._kept
            if each.is_alive and not (each.is_of(row.adapter) and new.tokens[: len(each.tokens)] == each.tokens)
        ]
        self._kept.append(new)
        while self.bytes > self.capacity_bytes:
            self._kept.pop(0)


class _Kept:
    """The tokens of a sequence, and what the model remembers of them; ``adapter`` is None for the base alone."""

    def __init__(self, tokens: tuple[int, ...], read: ReadTokens, adapter: "weakref.ref[LoraAdapter] | None") -> None:
        self.tokens, self.read, self._adapter = tokens, read, adapter

    @property
    def is_alive(self) -> bool:
        return self._adapter is None or self._adapter() is not None

    def is_of(self, adapter: LoraAdapter | None) -> bool:
        return (self._adapter() if self._adapter else None) is adapter and self.is_alive
