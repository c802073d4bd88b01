"""Batches without padding where that is possible: several examples share a row, kept apart by positions and a mask."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from train.encoding import IGNORE, Example


@dataclass(frozen=True)
class Batch:
    """Examples packed into ``R`` rows of ``L`` tokens; ``N`` tokens are trained.

    ``input_ids`` and ``position_ids``: ``[R, L]``, positions restart with each example. ``mask``: ``[R, 1, L, L]``
    booleans (True: may be seen), or None where plain causal attention is the same. ``sources``: ``[N]`` positions in
    the flattened ``R * L`` whose output predicts ``targets`` ``[N]``.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    mask: np.ndarray | None
    sources: np.ndarray
    targets: np.ndarray


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order ``[n]`` of one epoch: a function of seed and epoch alone, so a resumed run sees the same rows."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def step_rows(n: int, rows_per_step: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """The row numbers of each optimizer step of an epoch; the last step takes what is left, no row is dropped."""
    order = epoch_order(n, seed, epoch)
    for start in range(0, n, rows_per_step):
        yield order[start : start + rows_per_step]


def pack(examples: Sequence[Example], row_tokens: int, pad_id: int = 0) -> Batch:
    """Put ``examples`` into as few rows of at most ``row_tokens`` tokens as first-fit finds.

    An example longer than ``row_tokens`` gets a row of its own. Padding is at the end, so nothing real sees it.
    """
    bins: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda e: -len(e.input_ids)):
        size = len(example.input_ids)
        at = next((i for i, left in enumerate(room) if left >= size), None)
        if at is None:
            bins.append([example])
            room.append(row_tokens - size)
        else:
            bins[at].append(example)
            room[at] -= size
    length = max(sum(len(e.input_ids) for e in row) for row in bins)
    ids = np.full((len(bins), length), pad_id, dtype=np.int64)
    positions = np.zeros_like(ids)
    owners = np.full_like(ids, -1)
    sources, targets = [], []
    for r, row in enumerate(bins):
        start = 0
        for k, example in enumerate(row):
            stop = start + len(example.input_ids)
            ids[r, start:stop] = example.input_ids
            positions[r, start:stop] = np.arange(stop - start)
            owners[r, start:stop] = k
            trained = np.flatnonzero(example.labels != IGNORE)
            sources.append(r * length + start + trained - 1)
            targets.append(example.labels[trained].astype(np.int64))
            start = stop
    return Batch(ids, positions, _mask(owners), np.concatenate(sources), np.concatenate(targets))


def _mask(owners: np.ndarray) -> np.ndarray | None:
    if owners.max() == 0:  # one example a row: causal attention never looks at the padding behind it
        return None
    length = owners.shape[1]
    same = owners[:, :, None] == owners[:, None, :]
    return (same & np.tri(length, dtype=bool))[:, None]
