"""Batches without padding where that is possible: several examples share a row, kept apart by positions and a mask.

Nothing is computed twice: beginnings that the sequences of a packed row have in common (a system prompt, the prompt of
a preference pair) stand there once, as a tree whose branches don't attend to each other; and the last token of a
sequence, from which nothing is predicted, is not an input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from train.encoding import IGNORE, Example, Pair, Rated

#: Tokens of one forward and backward pass, where passes are divided; a longer sequence has a pass of its own.
PASS_TOKENS = 2048


class Packable(Protocol):
    """What is packed: one training row, or the scored answers to one prompt."""

    @property
    def sequences(self) -> tuple[Example, ...]:
        """Its token sequences."""
        ...


@dataclass(frozen=True)
class Batch:
    """``S`` sequences packed into ``R`` rows of ``L`` tokens; ``N`` tokens are trained.

    ``input_ids`` and ``position_ids``: ``[R, L]``, positions count within each sequence. ``mask``: ``[R, 1, L, L]``
    booleans (True: may be seen), or None where plain causal attention is the same. ``sources``: ``[N]`` positions in
    the flattened ``R * L`` whose output predicts ``targets`` ``[N]``; one position can predict for several sequences.
    ``owners``: ``[N]``, for each target the number of its sequence, 0 to ``S - 1`` in the order in which the rows were
    given; the sequences of pair ``k`` of a batch of pairs are ``2 * k`` (chosen) and ``2 * k + 1`` (rejected).
    Those of rated row ``k`` are ``2 * k`` (its answer) and ``2 * k + 1`` (another row's).
    ``reference``: ``[S]`` summed log-probabilities under a reference model in nats, or None.
    ``good``: ``[S / 2]`` booleans, whether the answer of each rated row is a good one; None without such rows.
    """

    input_ids: np.ndarray
    position_ids: np.ndarray
    mask: np.ndarray | None
    sources: np.ndarray
    targets: np.ndarray
    owners: np.ndarray
    reference: np.ndarray | None = None
    good: np.ndarray | None = None


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order ``[n]`` of one epoch: a function of seed and epoch alone, so a resumed run sees the same rows."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def step_rows(n: int, rows_per_step: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """The row numbers of each optimizer step of an epoch; the last step takes what is left, no row is dropped."""
    order = epoch_order(n, seed, epoch)
    for start in range(0, n, rows_per_step):
        yield order[start : start + rows_per_step]


@dataclass
class _Row:
    """A tree of tokens, parents before children: token, position and parent by node; source and owner by target."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)


def pack(training_rows: Sequence[Packable], row_tokens: int, pad_id: int = 0) -> Batch:
    """Put training rows into as few packed rows of at most ``row_tokens`` tokens as first-fit finds, alike full.

    The sequences of one training row stay in one packed row, so their prompt is computed once. A training row longer
    than ``row_tokens`` gets a packed row of its own. Padding is at the end, so no real token attends to it.
    """
    rows = [_tree(group) for group in _groups(training_rows, row_tokens)]
    length = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    positions = np.zeros_like(ids)
    for r, row in enumerate(rows):
        ids[r, : len(row.ids)] = row.ids
        positions[r, : len(row.ids)] = row.positions
    sources = np.concatenate([r * length + np.array(row.sources) for r, row in enumerate(rows)])
    targets = np.concatenate([np.array(row.targets) for row in rows])
    owners = np.concatenate([np.array(row.owners) for row in rows])
    return Batch(ids, positions, _mask(rows, length), sources, targets, owners, _reference(training_rows),
                 _good(training_rows))  # fmt: skip


def pack_parts(training_rows: Sequence[Packable], row_tokens: int, most_tokens: int) -> list[Batch]:
    """The rows in one batch, or in several where it would have more than ``most_tokens`` tokens with its padding.

    Of several, each has rows of similar lengths; a longer row has a batch of its own.
    """
    whole = pack(training_rows, row_tokens)
    if whole.input_ids.size <= most_tokens:
        return [whole]
    sizes = [_size(list(enumerate(row.sequences))) for row in training_rows]
    parts = batches_by_length(sizes, len(sizes), most_tokens)
    return [pack([training_rows[i] for i in sorted(part)], row_tokens) for part in parts]


def batches_by_length(lengths: Sequence[int], most_rows: int, most_tokens: int) -> Iterator[list[int]]:
    """The numbers of rows of ``lengths`` tokens in batches of similar lengths, the shortest first.

    A batch has at most ``most_rows`` rows and, padded to its longest, ``most_tokens`` tokens, or one row.
    """
    chosen: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if chosen and (len(chosen) == most_rows or lengths[i] * (len(chosen) + 1) > most_tokens):
            yield chosen
            chosen = []
        chosen.append(i)
    if chosen:
        yield chosen


#: What is to be put into one packed row: (number of the sequence, sequence) of one training row or of several.
Group = list[tuple[int, Example]]


def _groups(rows: Sequence[Packable], row_tokens: int) -> list[Group]:
    """What each packed row holds: as few rows as first-fit finds, equally full (all are padded to the longest)."""
    units: list[Group] = []
    first = 0
    for row in rows:
        units.append(list(enumerate(row.sequences, first)))
        first += len(row.sequences)
    longest_first = sorted(((_size(unit), unit) for unit in units), key=lambda each: -each[0])
    found = _first_fit(longest_first, row_tokens)
    return _balanced(longest_first, row_tokens, len(found)) or found


def _first_fit(units: Sequence[tuple[int, Group]], row_tokens: int) -> list[Group]:
    """The units of so many tokens, each in the first packed row that has room for it."""
    groups: list[Group] = []
    room: list[int] = []
    for size, unit in units:
        at = next((i for i, left in enumerate(room) if left >= size), None)
        if at is None:
            groups.append(unit)
            room.append(row_tokens - size)
        else:
            groups[at] = groups[at] + unit
            room[at] -= size
    return groups


def _balanced(units: Sequence[tuple[int, Group]], row_tokens: int, count: int) -> list[Group]:
    """The units in ``count`` packed rows, each in the emptiest one; empty where one of them does not fit in so."""
    groups: list[Group] = [[] for _ in range(count)]
    sizes = [0] * count
    for size, unit in units:
        at = sizes.index(min(sizes))
        groups[at] = groups[at] + unit
        sizes[at] += size
    return groups if max(sizes) <= row_tokens else []


def _size(unit: Sequence[tuple[int, Example]]) -> int:
    """Tokens that a training row adds to a packed row at most: what all of its sequences begin with counts once."""
    sequences = [example.input_ids[:-1] for _, example in unit]
    shortest = min(map(len, sequences))
    same = np.all([each[:shortest] == sequences[0][:shortest] for each in sequences], axis=0)
    return sum(map(len, sequences)) - (len(sequences) - 1) * int(np.cumprod(same).sum())


def _reference(rows: Sequence[Packable]) -> np.ndarray | None:
    found = [row.reference for row in rows if isinstance(row, Pair | Rated) and row.reference is not None]
    return np.array(found, dtype=np.float32).reshape(-1) if rows and len(found) == len(rows) else None


def _good(rows: Sequence[Packable]) -> np.ndarray | None:
    found = [row.good for row in rows if isinstance(row, Rated)]
    return np.array(found, dtype=bool) if found else None


def _tree(examples: Sequence[tuple[int, Example]]) -> _Row:
    row = _Row()
    nodes: dict[tuple[int, int], int] = {}
    for number, example in examples:
        at = -1
        for position, (token, label) in enumerate(
            zip(example.input_ids[:-1].tolist(), example.labels[1:].tolist(), strict=True)
        ):
            node = nodes.setdefault((at, token), len(row.ids))
            if node == len(row.ids):
                row.ids.append(token)
                row.positions.append(position)
                row.parents.append(at)
            at = node
            if label != IGNORE:
                row.sources.append(at)
                row.targets.append(label)
                row.owners.append(number)
    return row


def _mask(rows: Sequence[_Row], length: int) -> np.ndarray | None:
    if all(row.parents == list(range(-1, len(row.ids) - 1)) for row in rows):
        return None  # no row branches: causal attention never looks at the padding behind it
    seen = np.zeros((len(rows), 1, length, length), dtype=bool)
    seen[:, :, range(length), range(length)] = True
    for r, row in enumerate(rows):
        for node, parent in enumerate(row.parents):
            if parent >= 0:
                seen[r, 0, node] |= seen[r, 0, parent]
    return seen
