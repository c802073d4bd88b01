"""Seeded, stratified samples: which rows are drawn, and in which order they come.

A row's rank is a hash of the seed and its text, so it depends neither on the order of the file nor on the other rows:
a sample of 100 is part of the sample of 200 wherever the strata allow it, and nothing is ever taken from the top of a
sorted file.
"""

from collections.abc import Sequence
from hashlib import blake2b

from data.errors import ConfigError, DataError
from data.labelled import AnyRow, R

Key = tuple[str, ...]


def rank(row: AnyRow, seed: int) -> bytes:
    """Where the seed puts the row among others."""
    return blake2b(f"{seed}\0{row.text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def shuffled(rows: Sequence[R], seed: int) -> list[R]:
    """The rows in a seeded order that has nothing to do with the order they come in."""
    return sorted(rows, key=lambda row: rank(row, seed))


def sample(rows: Sequence[R], n: int, seed: int, balanced: bool = False, flag: str = "n") -> list[R]:
    """``n`` rows in a seeded order, all of them for 0.

    Every label has the share that it has in ``rows``, or with ``balanced`` the same number of rows (one more for some
    where ``n`` is odd). Within a label every stratum (``row.strata``) has its share, to the nearest row.

    Raises:
        ConfigError: ``n`` is below 0; the message names ``flag``.
        DataError: there are fewer rows than asked for, or too few of one label.
    """
    if n < 0:
        raise ConfigError(f"{flag} must be at least 0 (all rows), not {n}")
    if n == 0:
        return shuffled(rows, seed)
    if n > len(rows):
        raise DataError([f"{flag}={n:,}: there are only {len(rows):,} rows; ask for fewer, or 0 for all"])
    groups = _grouped(rows, [(str(row.label),) for row in rows])
    wanted = _equal_shares(groups, n, flag) if balanced else proportional({k: len(v) for k, v in groups.items()}, n)
    chosen = [row for key, members in groups.items() for row in _stratified(members, wanted[key], seed)]
    return shuffled(chosen, seed)


def _stratified(rows: Sequence[R], n: int, seed: int) -> list[R]:
    strata = _grouped(rows, [row.strata for row in rows])
    wanted = proportional({key: len(members) for key, members in strata.items()}, n)
    return [row for key, members in strata.items() for row in shuffled(members, seed)[: wanted[key]]]


def held_out(rows: Sequence[R], n: int, seed: int, flag: str = "n_test") -> tuple[list[R], list[R]]:
    """(the rows that stay, ``n`` held-out rows): a stratified sample and what it leaves, both in a seeded order.

    Raises:
        DataError: nothing would stay.
    """
    if n >= len(rows):
        raise DataError([f"{flag}={n:,}: of {len(rows):,} rows nothing would be left to train on; ask for fewer"])
    test = sample(rows, n, seed, flag=flag)
    taken = {row.id for row in test}
    return shuffled([row for row in rows if row.id not in taken], seed), test


def proportional(sizes: dict[Key, int], n: int) -> dict[Key, int]:
    """How many of ``n`` each group gets: its share, rounded so that the sum is ``n`` (largest remainders first)."""
    total = sum(sizes.values())
    shares = {key: divmod(size * n, total) for key, size in sizes.items()} if total else {}
    wanted = {key: whole for key, (whole, _) in shares.items()}
    by_remainder = sorted(shares, key=lambda key: (-shares[key][1], key))
    for key in by_remainder[: n - sum(wanted.values())]:
        wanted[key] += 1
    return wanted


def _equal_shares(groups: dict[Key, list[R]], n: int, flag: str) -> dict[Key, int]:
    each, more = divmod(n, len(groups))
    wanted = {key: each + (i < more) for i, key in enumerate(sorted(groups))}
    for key, members in groups.items():
        if wanted[key] > len(members):
            raise DataError([
                f"{flag}={n:,}: a balanced sample needs {wanted[key]:,} rows of each label, and label {key[0]} has "
                f"{len(members):,}; ask for {len(groups) * min(map(len, groups.values())):,} or fewer"
            ])  # fmt: skip
    return wanted


def _grouped(rows: Sequence[R], keys: Sequence[Key]) -> dict[Key, list[R]]:
    groups: dict[Key, list[R]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row)
    return groups
