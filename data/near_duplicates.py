"""Rows of training and test that are nearly the same text, found by MinHash (Broder 1997) and confirmed by counting."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data.splits import normalised

#: Characters of a shingle.
SHINGLE = 5
#: Share of all shingles of two texts that are in both (Jaccard), from which they are near-duplicates.
NEAR = 0.7
#: Of the signatures by which candidates are found, at a lower share so that few are missed.
CANDIDATE, PERMUTATIONS = 0.6, 64
#: Shingles of a larger share of all texts, and of more texts than this, belong to a template and are left out.
TEMPLATE_SHARE, LEAST_TEMPLATE = 0.1, 5
#: Texts with fewer shingles than this say too little to be nearly another.
LEAST_SHINGLES = 8
#: Of the polynomial that makes one number of the characters of a shingle, modulo 2 ** 32.
MULTIPLIER = 0x01000193


def near_duplicates(train: Sequence[str], test: Sequence[str]) -> dict[int, int]:
    """The number of a test text that is nearly the same, by the number of each training text that has one.

    Texts are compared without case, punctuation and spaces, and without what many of them share, such as an
    instruction that all prompts begin with.
    """
    shingles = _without_templates([*map(_shingles, train), *map(_shingles, test)])
    trained, tested = shingles[: len(train)], shingles[len(train) :]
    found = {}
    for i, candidates in _candidates(trained, tested):
        shares = {k: _jaccard(trained[i], tested[k]) for k in candidates}
        best = max(shares, key=shares.__getitem__)
        if shares[best] >= NEAR:
            found[i] = best
    return found


def _candidates(trained: Sequence[np.ndarray], tested: Sequence[np.ndarray]) -> Iterator[tuple[int, list[int]]]:
    """The number of each training text with those of the test texts that have a similar signature."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=CANDIDATE, num_perm=PERMUTATIONS)

    def signature(shingles: np.ndarray) -> MinHash:
        made = MinHash(num_perm=PERMUTATIONS, hashfunc=int)
        made.update_batch(shingles.tolist())
        return made

    for k, each in enumerate(tested):
        if len(each) >= LEAST_SHINGLES:
            index.insert(k, signature(each))
    for i, each in enumerate(trained):
        near: list[Any] = index.query(signature(each)) if len(each) >= LEAST_SHINGLES else []
        if near:
            yield i, sorted(near)


def _shingles(text: str) -> np.ndarray:
    """The different shingles of a text as sorted numbers of 32 bits."""
    plain = normalised(text).ljust(SHINGLE)
    letters = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    found = np.zeros(len(letters) - SHINGLE + 1, dtype=np.uint32)
    for i in range(SHINGLE):
        found = found * np.uint32(MULTIPLIER) + letters[i : i + len(found)]
    return np.unique(found)


def _without_templates(texts: Sequence[np.ndarray]) -> list[np.ndarray]:
    shingles, counts = np.unique(np.concatenate(texts), return_counts=True)
    templates = shingles[counts > max(LEAST_TEMPLATE, TEMPLATE_SHARE * len(texts))]
    return [np.setdiff1d(text, templates, assume_unique=True) for text in texts]


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / (len(a) + len(b) - both)
