"""A test row as a chat request, and a raw reply as a prediction.

The request has the same messages as the training file's line. A reply only counts as an answer if it is a complete
chat completion; what can't be read is an error of the server, never a label.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from data.labelled import AnyRow, Labels
from data.prompts import PromptTemplate, prompt_messages
from evals.classification import Prediction, parse_answer
from openai_jobs.requests import ChatRequest

#: OpenAI's value for a log-probability that is not known; values below it are not known either.
SENTINEL = -9999.0


def chat_requests(
    rows: Sequence[AnyRow], model: str, template: PromptTemplate, max_tokens: int, seed: int
) -> list[ChatRequest]:  # fmt: skip
    """One request a row, with the prompt of ``template``."""
    return [ChatRequest(row.id, model, tuple(prompt_messages(row, template)), max_tokens, seed) for row in rows]


def prediction(reply: Mapping[str, Any], labels: Labels) -> Prediction:
    """The prediction in a checked reply; a refusal is an answer that is no label."""
    choice = reply["choices"][0]
    text = choice["message"].get("content")
    if text is None:
        text = str(choice["message"].get("refusal") or "")
    return Prediction(parse_answer(text, labels), p_positive(choice.get("logprobs"), labels), text)


def p_positive(logprobs: Any, labels: Labels) -> float | None:
    """Probability of the second label, renormalised over both, by the first token's alternatives; None if unknown.

    A token counts for the label that begins with it, ignoring case and leading space. For labels of several tokens
    this is the probability of their first tokens. A label that is not among the alternatives is at most as likely as
    the least likely of them, and gets that probability.
    """
    try:
        first = next(token for token in logprobs["content"] if token["token"].strip())
        listed = first["top_logprobs"] or [first]
        known = {each["token"]: float(each["logprob"]) for each in listed if _is_known(each["logprob"])}
    except (KeyError, TypeError, StopIteration, AttributeError, ValueError):
        return None
    shares = [0.0, 0.0]
    for token, value in known.items():
        matches = [i for i, label in enumerate(labels) if _begins(label, token)]
        if len(matches) == 1:
            shares[matches[0]] += math.exp(value)
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
