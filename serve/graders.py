"""Graders that score a sampled answer by a rule; those that call a model or run code are not supported."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

#: A name between double braces, such as ``{{ item.label }}`` or ``{{sample.output_text}}``.
VARIABLE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
MAX_CHARACTERS = 10_000
ERRORS = (
    "formula_parse_error", "invalid_variable_error", "model_grader_parse_error", "model_grader_refusal_error",
    "model_grader_server_error", "other_error", "python_grader_runtime_error", "python_grader_server_error",
    "sample_parse_error", "truncated_observation_error", "unresponsive_reward_error",
)  # fmt: skip


def run(grader: Mapping[str, Any], sample: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's object of a graded sample: ``reward`` from 0 to 1, and 0 with an error where a variable is unknown.

    Args:
        grader: checked fields of a string_check or text_similarity grader.
        sample: the model's answer, ``sample.output_text`` (and ``sample.output_json`` where it is JSON).
        item: the row of the data set that it belongs to, ``item``.
    """
    started_s = time.perf_counter()
    names = {"item": item, "sample": {"output_text": sample, **_parsed(sample)}}
    try:
        given, reference = (fill(grader[name], names) for name in ("input", "reference"))
        reward, failed = _reward(grader, given, reference), ()
    except LookupError:
        reward, failed = 0.0, ("invalid_variable_error",)
    return {
        "reward": reward,
        "sub_rewards": {},
        "model_grader_token_usage_per_model": {},
        "metadata": {
            "name": grader["name"],
            "type": grader["type"],
            "errors": {name: name in failed for name in ERRORS},
            "execution_time": time.perf_counter() - started_s,
            "scores": {},
            "token_usage": None,
            "sampled_model_name": None,
        },
    }


def fill(template: str, names: Mapping[str, Any]) -> str:
    """The template with the values of its variables, cut at ``MAX_CHARACTERS``.

    Raises:
        LookupError: a variable is unknown.
    """
    out, at = "", 0
    for match in VARIABLE.finditer(template):
        found: Any = names
        for part in match[1].split("."):
            if not isinstance(found, Mapping):
                raise LookupError(match[1])
            found = found[part]
        out += template[at : match.start()] + (found if isinstance(found, str) else json.dumps(found))
        at = match.end()
        if len(out) > MAX_CHARACTERS:
            break
    return (out + template[at:])[:MAX_CHARACTERS]


def _parsed(sample: str) -> dict[str, Any]:
    try:
        return {"output_json": json.loads(sample)}
    except (ValueError, RecursionError):
        return {}


def _reward(grader: Mapping[str, Any], given: str, reference: str) -> float:
    if grader["type"] == "text_similarity":
        from sacrebleu import sentence_bleu

        return sentence_bleu(given, [reference]).score / 100
    return float({
        "eq": given == reference,
        "ne": given != reference,
        "like": reference in given,
        "ilike": reference.casefold() in given.casefold(),
    }[grader["operation"]])  # fmt: skip
