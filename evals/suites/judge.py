"""The scorer ``judge`` of own suites: whether an answer meets a criterion, by a model that is asked twice.

The criterion, a question such as "Is the answer polite?", is asked with *no* before *yes* and with *yes* before *no*.
An answer meets it where both replies say yes, or one does and the other says that it can't be decided.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evals.pairwise import Judge, Judgement

PROMPT = """\
Read an answer to a prompt and decide one question about the answer.

Prompt:
{prompt}

Answer:
{answer}

Question: {criterion}

A: {first}
B: {second}
C: it can't be decided

Reply with one letter: A, B or C."""


def prompts(prompt: str, answer: str, criterion: str) -> tuple[str, str]:
    """What the judge reads: *no* as the letter A and *yes* as B, then the other way round."""
    filled = {"prompt": prompt, "answer": answer, "criterion": criterion}
    return PROMPT.format(**filled, first="no", second="yes"), PROMPT.format(**filled, first="yes", second="no")


def judge_answers(
    make: Callable[[str], Judge], items: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> list[Judgement]:
    """The judgement on each answer, by the judge of its item, which is called once with all of its prompts.

    ``Judgement.value`` is 1 for yes, 0 for no and 0.5 for neither.

    Args:
        make: from the name of a judge to the judge.
        items: with ``prompt``, ``value`` (the criterion) and ``judge``.
    """
    found: dict[int, Judgement] = {}
    for name in dict.fromkeys(item["judge"] for item in items):
        chosen = [i for i, item in enumerate(items) if item["judge"] == name]
        texts = [text for i in chosen for text in prompts(items[i]["prompt"], answers[i], items[i]["value"])]
        letters = make(name)(texts)
        replies = zip(letters[::2], letters[1::2], strict=True)
        found |= {i: Judgement(*both) for i, both in zip(chosen, replies, strict=True)}
    return [found[i] for i in range(len(items))]


def statistics(judgements: Sequence[Judgement]) -> dict[str, np.ndarray]:
    """The statistics of the judge's position bias, and of the share of its judgements that can't be read."""
    read = np.array([each.is_valid for each in judgements], dtype=float)
    positions = [each.position if each.is_valid else 0 for each in judgements]
    return {
        "position_bias": np.stack([positions, read], axis=-1),
        "unread_rate": np.stack([1 - read, np.ones_like(read)], axis=-1),
    }
