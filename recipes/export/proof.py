"""Whether an exported model answers as its version does: the comparison, its tolerances, and the cause of a failure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipes.export.answers import Answers, Reference

#: How near the base's log-probabilities an export must be, against the version's, to be called its base.
NEARER = 0.1
#: Share of the version's tokens that must have a log-probability where log-probabilities have a limit.
LEAST_KNOWN = 0.9

#: The cause where nothing but the weights can be other ones.
WEIGHTS = "the weights differ"

LogProbs = Sequence[Sequence[float | None]]


@dataclass(frozen=True)
class Tolerance:
    """What an export may differ by.

    ``texts``: how many answers may be other ones. ``largest`` and ``mean``: of the absolute differences of
    log-probabilities, by token, in nats; None where there is no limit.
    ``tie``: an answer that parts at a token which the version prefers to all others by no more nats than this is not
    counted as another one, since rounding alone decides there.
    """

    texts: int | None
    largest: float | None
    mean: float | None
    tie: float = 0.0

    @property
    def limits_log_probs(self) -> bool:
        """Whether a log-probability can fail an export."""
        return self.largest is not None or self.mean is not None


EXACT = Tolerance(texts=0, largest=1e-3, mean=None)
HALF = Tolerance(texts=1, largest=None, mean=None, tie=0.02)
REPORTED = Tolerance(texts=None, largest=None, mean=None)
SAME_TEXTS = Tolerance(texts=0, largest=None, mean=None)
EIGHT_BITS = Tolerance(texts=None, largest=None, mean=0.02)


@dataclass(frozen=True)
class Proof:
    """The comparison of an export with its version on ``n`` conversations.

    ``same_prompts``, ``same_texts``: how many are equal. ``ties``: how many other texts part at a tie. ``largest`` and
    ``mean``: absolute differences of log-probabilities of the version's tokens, in nats. ``unknown``: how many of these
    ``tokens`` the consumer gave no log-probability for. ``cause``: why it failed, empty where it did not.
    """

    n: int
    same_prompts: int
    same_texts: int
    ties: int
    largest: float
    mean: float
    tokens: int
    unknown: int
    cause: str

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers, as metrics of a run; an infinite difference is left out."""
        found = {
            "export/prompts": float(self.n),
            "export/same_prompts": float(self.same_prompts),
            "export/same_texts": float(self.same_texts),
            "export/ties": float(self.ties),
            "export/log_prob_difference_max": self.largest,
            "export/log_prob_difference_mean": self.mean,
            "export/unknown_tokens_share": self.unknown / max(1, self.tokens),
        }
        return {key: value for key, value in found.items() if math.isfinite(value)}


def compare(reference: Reference, found: Mapping[str, Any], tolerance: Tolerance, bos: int | None) -> Proof:
    """Compare what the consumer of an export ``found`` with the version's answers.

    Args:
        bos: the tokenizer's BOS; None where it has none.
    """
    own, n = reference.answers, len(reference.answers.texts)
    other = Answers(*(found[name] for name in ("prompts", "tokens", "texts", "log_probs")))
    gaps = _gaps(own.log_probs, other.log_probs)
    tokens = sum(map(len, own.log_probs))
    unknown = tokens - len(gaps)
    same_prompts = sum(a == b for a, b in zip(own.prompts, other.prompts, strict=True))
    same_texts = sum(map(is_same, own.texts, other.texts))
    ties = sum(_parts_at_tie(reference, other, i, tolerance.tie) for i in range(n))
    largest, mean = max(gaps, default=0.0), _mean(gaps)
    differs = _beyond(n - same_texts - ties, tolerance.texts) or _beyond(largest, tolerance.largest)
    cause = _defect(reference, other, found["vocabulary"], bos)
    if not cause and (differs or _beyond(mean, tolerance.mean)):
        cause = _weights_cause(reference, other)
    if not cause and tolerance.limits_log_probs and unknown > (1 - LEAST_KNOWN) * tokens:
        cause = f"no log-probability known for {unknown} of {tokens} tokens"
    return Proof(n, same_prompts, same_texts, ties, largest, mean, tokens, unknown, cause)


def _gaps(left: LogProbs, right: LogProbs) -> list[float]:
    """The absolute differences of two models' log-probabilities of the same tokens, in nats, where both are known."""
    pairs = [pair for rows in zip(left, right, strict=True) for pair in zip(*rows, strict=True)]
    return [
        abs(a - b) if math.isfinite(a) and math.isfinite(b) else math.inf
        for a, b in pairs
        if a is not None and b is not None
    ]


def is_same(own: str, other: str) -> bool:
    """Whether two answers are the same text but for outer blanks.

    The export's may lack bytes at the end of the version's ``own`` that are no whole character: llama.cpp names none.
    """
    return other.strip() in (own.strip(), own.rstrip("\ufffd").strip())


def _parts_at_tie(reference: Reference, other: Answers, i: int, tie: float) -> bool:
    """Whether answer ``i`` is another text whose first other token is one that the version hardly preferred."""
    own = reference.answers
    if not tie or not reference.margins or is_same(own.texts[i], other.texts[i]):
        return False
    pairs = zip(own.tokens[i], other.tokens[i], reference.margins[i], strict=False)
    return next((margin <= tie for a, b, margin in pairs if a != b), False)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _beyond(value: float, most: float | None) -> bool:
    return most is not None and not value <= most


def _defect(reference: Reference, other: Answers, vocabulary: int, bos: int | None) -> str:
    """What is wrong in any format, whatever the texts are; empty for nothing."""
    own = reference.answers
    if vocabulary != reference.vocabulary:
        return "embedding resized"
    if other.prompts != own.prompts:
        return _prompt_cause(own, other, bos)
    values = [value for row in other.log_probs for value in row]
    if any(value is not None and not math.isfinite(value) for value in values):
        return "dtype overflow"
    if any(_runs_on(own, other, i, reference.stops) for i in range(len(own.tokens))):
        return "end token not a stop"
    return ""


def _weights_cause(reference: Reference, other: Answers) -> str:
    """Why the answers differ by more than the tolerance, where nothing else is wrong."""
    base, own = reference.base_log_probs, reference.answers.log_probs
    if base and _distance(other.log_probs[-len(base) :], base) < NEARER * _distance(own[-len(base) :], base):
        return "adapter not merged"
    return WEIGHTS


def _prompt_cause(own: Answers, other: Answers, bos: int | None) -> str:
    pairs = list(zip(own.prompts, other.prompts, strict=True))
    twice = bos is not None and all(b[:2] == [bos, bos] and a[:2] != [bos, bos] and b[1:] == a for a, b in pairs)
    return "BOS twice" if twice else "template differs"


def _runs_on(own: Answers, other: Answers, i: int, stops: frozenset[int]) -> bool:
    """Whether answer ``i`` of ``other`` is the same and goes on where the version stopped.

    llama.cpp lists no tokens that are half a character, so that what goes on may show in the text alone.
    """
    ended = bool(own.tokens[i]) and own.tokens[i][-1] in stops
    goes_on = len(other.tokens[i]) > len(own.tokens[i]) or not is_same(own.texts[i], other.texts[i])
    return ended and goes_on and other.tokens[i][: len(own.tokens[i])] == own.tokens[i]


def _distance(left: LogProbs, right: LogProbs) -> float:
    return _mean(_gaps(left, right))
