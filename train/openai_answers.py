"""One test row as a chat request, and a raw reply as a prediction.

The request is made from the same messages as the training file's line. A reply is only taken for an answer if it is a
whole chat completion; what can't be read is a fault of the server, never a label.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from data.labelled import AnyRow, Labels
from data.prompts import PromptTemplate, prompt_messages
from train.classify import Prediction, parse_answer

#: OpenAI's mark of a log-probability that is not known; any below it is none either.
SENTINEL = -9999.0


@dataclass(frozen=True)
class Question:
    """One request: to which model, about which row, with what settings but those that only add to the reply."""

    row_id: str
    model: str
    messages: tuple[Mapping[str, Any], ...]
    max_tokens: int
    seed: int

    @cached_property
    def digest(self) -> str:
        """What it is known by: 32 hex digits over all that decides its answer."""
        told = [self.model, list(self.messages), self.max_tokens, self.seed]
        return sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Manner:
    """What an endpoint turned out to understand: how many ``top_logprobs`` (0: none), and what the cap is called."""

    top_logprobs: int = 20
    cap: str = "max_tokens"
    seeded: bool = True

    def body(self, question: Question) -> dict[str, Any]:
        """The request's body."""
        found: dict[str, Any] = {
            "model": question.model,
            "messages": list(question.messages),
            "temperature": 0,
            self.cap: question.max_tokens,
        }
        if self.seeded:
            found["seed"] = question.seed
        if self.top_logprobs:
            found |= {"logprobs": True, "top_logprobs": self.top_logprobs}
        return found


def questions(
    rows: Sequence[AnyRow], model: str, template: PromptTemplate, max_tokens: int, seed: int
) -> list[Question]:  # fmt: skip
    """The requests that ask a model about rows."""
    return [Question(row.id, model, tuple(prompt_messages(row, template)), max_tokens, seed) for row in rows]


class Garbage(ValueError):
    """A reply that is no chat completion."""


def checked(reply: Any) -> dict[str, Any]:
    """The reply, if it is a whole chat completion with one text.

    Raises:
        Garbage: it is anything else.
    """
    try:
        choice = reply["choices"][0]
        said = choice["message"]["content"] if choice["message"].get("content") is not None else ""
        refused = choice["message"].get("refusal")
        whole = isinstance(said, str) and choice["message"].get("role") == "assistant"
        ended = isinstance(choice.get("finish_reason"), str)
    except (KeyError, IndexError, TypeError, AttributeError):
        whole = ended = False
        said = refused = None
    if not (whole and ended) or (said == "" and refused is None and choice["finish_reason"] not in ENDINGS):
        raise Garbage("it is no chat completion")
    return reply


#: Reasons for which an answer may be empty.
ENDINGS = ("stop", "length", "content_filter")


def prediction(reply: Mapping[str, Any], labels: Labels) -> Prediction:
    """What a checked reply says about its row; a refusal is an answer that is no label."""
    choice = reply["choices"][0]
    text = choice["message"].get("content")
    if text is None:
        text = str(choice["message"].get("refusal") or "")
    return Prediction(parse_answer(text, labels), p_positive(choice.get("logprobs"), labels), text)


def p_positive(logprobs: Any, labels: Labels) -> float | None:
    """Probability of the second label, renormalised over both, by the first token's alternatives; None if unknown.

    A token counts for the label that it begins, whatever its case and the space before it. With labels of several
    tokens this is the chance of how they begin. A label that is not among the alternatives is at most as likely as the
    least likely of them, and counts as that.
    """
    try:
        first = next(token for token in logprobs["content"] if token["token"].strip())
        listed = first["top_logprobs"] or [first]
        known = {each["token"]: float(each["logprob"]) for each in listed if _is_known(each["logprob"])}
    except (KeyError, TypeError, StopIteration, AttributeError, ValueError):
        return None
    shares = [0.0, 0.0]
    for token, value in known.items():
        begun = [i for i, label in enumerate(labels) if _begins(label, token)]
        if len(begun) == 1:
            shares[begun[0]] += math.exp(value)
    if not any(shares):
        return None
    least = min(math.exp(value) for value in known.values())
    rest = max(0.0, 1.0 - sum(math.exp(value) for value in known.values()))
    p0, p1 = (share or min(least, rest) for share in shares)
    return p1 / (p0 + p1)


def _is_known(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and SENTINEL < value <= 1e-3


def _begins(label: str, token: str) -> bool:
    part = token.strip().casefold()
    return bool(part) and label.strip().casefold().startswith(part)
