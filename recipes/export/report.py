"""The comparison of an export with its version, for reading: one line, JSON, and Markdown."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from data.markdown import table
from recipes.export.answers import Reference
from recipes.export.proof import Proof, Tolerance, is_same

COMPARED = "Compared  "


def line(proof: Proof) -> str:
    """The comparison in one line."""
    ties = f" ({proof.ties} others part at a tie)" if proof.ties else ""
    texts = f"{COMPARED}prompts equal {proof.same_prompts}/{proof.n}, texts equal {proof.same_texts}/{proof.n}{ties}"
    if proof.unknown == proof.tokens:
        return f"{texts}, log-probabilities unknown"
    unknown = f" ({proof.unknown} of {proof.tokens} tokens unknown)" if proof.unknown else ""
    difference = f"log-probability differs by at most {proof.largest:.2g} nats, on average {proof.mean:.2g}"
    return f"{texts}, {difference}{unknown}"


def as_json(proof: Proof, tolerance: Tolerance, reference: Reference, found: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with what they may be, and for each conversation the prompt tokens and answers of both."""
    own = reference.answers
    items = [
        {"messages": messages, "prompt_tokens": own.prompts[i], "export_prompt_tokens": found["prompts"][i],
         "version": own.texts[i], "export": found["texts"][i], "same": is_same(own.texts[i], found["texts"][i]),
         "version_log_probs": own.log_probs[i], "export_log_probs": found["log_probs"][i]}
        for i, messages in enumerate(reference.messages)
    ]  # fmt: skip
    return {**asdict(proof), "passed": not proof.cause, "tolerance": asdict(tolerance), "items": items}


def markdown(proof: Proof, reference: Reference, found: Mapping[str, Any]) -> str:
    """The line, and side by side the answers that are not the same."""
    rows = [
        (messages[-1]["content"], own, other)
        for messages, own, other in zip(reference.messages, reference.answers.texts, found["texts"], strict=True)
        if not is_same(own, other)
    ]
    verdict = f"failed: {proof.cause}" if proof.cause else "passed"
    shown = table(["prompt", "version", "export"], rows, left=(0, 1, 2)) if rows else ["All texts are equal."]
    return "\n".join([f"# Comparison of the export with its version: {verdict}", "", line(proof), "", *shown, ""])
