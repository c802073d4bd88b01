"""Whether an exported model answers as its version does: the comparison, its tolerances, and the cause of a failure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recipes.export.answers import Answers, Reference

#: How near the base's log-probabilities an export must be, against the version's, to be called its base.
NEARER = 0.1


@dataclass(frozen=True)
class Tolerance:
    """What an export may differ by.

    ``texts``: how many answers may be other ones. ``largest`` and ``mean``: of the differences of log-probabilities, by
    token, in nats; None where there is no limit.
    """

    texts: int | None
    largest: float | None
    mean: float | None


EXACT = Tolerance(texts=0, largest=1e-3, mean=None)
HALF = Tolerance(texts=1, largest=None, mean=None)
EIGHT_BITS = Tolerance(texts=None, largest=None, mean=0.02)


@dataclass(frozen=True)
class Proof:
    """The comparison of an export with its version on ``n`` conversations.

    ``same_prompts``, ``same_texts``: how many are equal. ``largest`` and ``mean``: differences of log-probabilities of
    the version's tokens, in nats. ``unknown``:
    how many of them the consumer gave no log-probability for. ``cause``: why it failed, empty where it did not.
    """

    n: int
    same_prompts: int
    same_texts: int
    largest: float
    mean: float
    unknown: int
    cause: str

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers, as metrics of a run; an infinite difference is left out."""
        found = {
            "export/prompts": float(self.n),
            "export/same_prompts": float(self.same_prompts),
            "export/same_texts": float(self.same_texts),
            "export/log_prob_difference_max": self.largest,
            "export/log_prob_difference_mean": self.mean,
        }
        return {key: value for key, value in found.items() if math.isfinite(value)}


def compare(reference: Reference, found: Mapping[str, Any], tolerance: Tolerance, bos: int | None) -> Proof:
    """Compare what the consumer of an export ``found`` with the version's answers.

    Args:
        bos: the tokenizer's BOS; None where it has none.
    """
    own = reference.answers
    other = Answers(*(found[name] for name in ("prompts", "tokens", "texts", "log_probs")))
    pairs = zip(own.log_probs, other.log_probs, strict=True)
    gaps = [_gap(a, b) for left, right in pairs for a, b in zip(left, right, strict=True) if b is not None]
    same_prompts = sum(a == b for a, b in zip(own.prompts, other.prompts, strict=True))
    same_texts = sum(a.strip() == b.strip() for a, b in zip(own.texts, other.texts, strict=True))
    largest, mean = max(gaps, default=0.0), sum(gaps) / max(1, len(gaps))
    n = len(own.texts)
    failed = same_prompts < n or _beyond(n - same_texts, tolerance.texts)
    failed = failed or _beyond(largest, tolerance.largest) or _beyond(mean, tolerance.mean)
    cause = _cause(reference, other, found["vocabulary"], bos) if failed or not math.isfinite(mean) else ""
    unknown = sum(value is None for row in other.log_probs for value in row)
    return Proof(n, same_prompts, same_texts, largest, mean, unknown, cause)


def _gap(a: float, b: float) -> float:
    return abs(a - b) if math.isfinite(b) else math.inf


def _beyond(value: float, most: float | None) -> bool:
    return most is not None and not value <= most


def _cause(reference: Reference, other: Answers, vocabulary: int, bos: int | None) -> str:
    """The first cause that explains a difference, the ones that are certain first."""
    own = reference.answers
    if vocabulary != reference.vocabulary:
        return "embedding resized"
    if other.prompts != own.prompts:
        return _prompt_cause(own, other, bos)
    values = [value for row in other.log_probs for value in row]
    if any(value is not None and not math.isfinite(value) for value in values):
        return "dtype overflow"
    if any(_runs_on(a, b, reference.stops) for a, b in zip(own.tokens, other.tokens, strict=True)):
        return "end token not a stop"
    if reference.base_log_probs and _distance(other.log_probs, reference.base_log_probs) < NEARER * _distance(
        own.log_probs, reference.base_log_probs
    ):
        return "adapter not merged"
    return "quantisation"


def _prompt_cause(own: Answers, other: Answers, bos: int | None) -> str:
    pairs = list(zip(own.prompts, other.prompts, strict=True))
    twice = bos is not None and all(b[:2] == [bos, bos] and a[:2] != [bos, bos] and b[1:] == a for a, b in pairs)
    return "BOS twice" if twice else "template differs"


def _runs_on(own: list[int], other: list[int], stops: frozenset[int]) -> bool:
    """Whether ``other`` is the same answer and goes on where the version stopped."""
    ended = bool(own) and own[-1] in stops
    return ended and len(other) > len(own) and other[: len(own)] == own


def _distance(left: list[list[float]], right: list[list[float]]) -> float:
    gaps = [
        _gap(a, b) for one, two in zip(left, right, strict=True) for a, b in zip(one, two, strict=True) if b is not None
    ]
    return sum(gaps) / max(1, len(gaps))
