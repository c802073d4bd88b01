"""An export as HTML: how far it is, and what its comparison with the version found."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from demo.view.details import MARKS
from demo.view.html import Markup, fragment, one_line
from demo.view.panes import byte_size
from demo.view.training import STATES, duration

if TYPE_CHECKING:
    from demo.exports import Export

#: One line of the comparison: what is compared, what was found, what may be, and whether it is (None: it has no limit).
Check = tuple[str, str, str, bool | None]


def card(export: "Export", about: str) -> Markup:
    """One version in one format: ``about`` says what the format is."""
    from demo.exports import PHASES

    config, proof = export.config, export.proof
    tone, mark = STATES.get(export.state, ("plain", ""))
    where = export.folder.relative_to(Path.cwd()) if export.folder.is_relative_to(Path.cwd()) else export.folder
    outtype = f" -P outtype={config.outtype}" if config.to == "gguf" else ""
    return fragment(
        "export.html",
        name=f"{export.reference} as {export.format}",
        about=about[:1].upper() + about[1:],
        state=export.state,
        tone=tone,
        mark=mark,
        phase=export.phase if export.state == "running" else "",
        percent=f"{100 * (export.done + 0.5) / (len(PHASES) + 1):.0f}",
        time=duration(export.seconds),
        error=one_line(export.error) if export.state == "failed" else "",
        command=f"mlflow run . -e export -P version={shlex.quote(export.reference)} -P to={config.to}{outtype}",
        folder=where if export.state == "finished" else "",
        link=f"exports/{quote(export.folder.name)}",
        size=byte_size(export.bytes),
        checks=[(*line[:3], *_outcome(line[3])) for line in checks(proof)] if proof else (),
        proof=proof,
        other=[_item(each) for each in proof["items"] if not _is_same(each)] if proof else (),
        asked=[_item(each) for each in proof["items"]] if proof else (),
    )


def _outcome(passed: bool | None) -> tuple[str, str, str]:
    """Tone, mark, and the same in a word."""
    tone, word = {True: ("good", "agrees"), False: ("bad", "differs"), None: ("plain", "no limit")}[passed]
    return tone, MARKS[tone], word


def checks(proof: Mapping[str, Any]) -> list[Check]:
    """What was compared, from the contents of ``proof.json``; older ones say nothing of what may be."""
    n, tokens, unknown = proof["n"], proof["tokens"], proof["unknown"]
    allowed = proof.get("tolerance") or {}
    ties = f", {proof['ties']} part at a tie" if proof["ties"] else ""
    others, most = n - proof["same_texts"] - proof["ties"], allowed.get("texts")
    least = "reported only" if most is None else "all" if most == 0 else f"{n - most} or more"
    enough = None if most is None else others <= most
    found: list[Check] = [
        ("prompts, token by token", f"{proof['same_prompts']} of {n} equal", "all", proof["same_prompts"] == n),
        ("greedy answers", f"{proof['same_texts']} of {n} equal{ties}", least, enough),
    ]
    for name in ("largest", "mean"):
        limit, words = allowed.get(name), f"log-probability, {name} difference"
        value = "not known" if unknown == tokens else f"{proof[name]:.2g} nats"
        passed = None if limit is None else unknown < tokens and _finite(proof[name]) <= limit
        found.append((words, value, "reported only" if limit is None else f"{limit:g} nats or less", passed))
    if allowed.get("largest") is None and allowed.get("mean") is None:
        return [*found, ("tokens without one", f"{unknown:,} of {tokens:,}", "reported only", None)]
    return [*found, ("tokens without one", f"{unknown:,} of {tokens:,}", "one in ten", 10 * unknown <= tokens)]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _is_same(item: Mapping[str, Any]) -> bool:
    return item.get("same", item["version"].strip() == item["export"].strip())


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Prompt and answers of one conversation; ``kind`` says what stands before the prompt."""
    roles = [each["role"] for each in item["messages"]]
    kinds = [f"{roles.count('user')} prompts"] * (roles.count("user") > 1) + ["system prompt"] * ("system" in roles)
    return {
        "prompt": one_line(item["messages"][-1]["content"], 160),
        "kind": ", ".join(kinds),
        "version": item["version"],
        "export": item["export"],
        "same": _is_same(item),
    }
