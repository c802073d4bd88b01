"""All versions as a tree of models, versions and checkpoints, each once, with a verdict's dot and a date."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from demo.view.details import MARKS, VERDICTS
from demo.view.html import Markup, fragment, one_line
from demo.view.render import can_chat

if TYPE_CHECKING:
    from registry.version_details import CatalogEntry


def tree(
    entries: "Sequence[CatalogEntry]", cells: Collection[str], steps: Mapping[str, Sequence[int]], right: str
) -> Markup:
    """The tree.

    Args:
        cells: ids of the runs that are cells of studies; their versions are folded under each model.
        steps: by run, the steps of its kept checkpoints.
        right: the version of the right column; versions with its base can be filtered for.
    """
    chosen = next((entry for entry in entries if entry.version.reference == right), None)
    base = chosen.version.tags.get("base_digest", "") if chosen else ""
    models: dict[str, dict[str, list[Any]]] = {}
    for entry in entries:
        is_cell = entry.version.run_id in cells
        group = models.setdefault(entry.version.name, {"versions": [], "cells": []})
        group["cells" if is_cell else "versions"].append(_row(entry, steps, base))
    return fragment("picker.html", models=models, open=next(iter(models), "") if not right else right.partition("/")[0])


def _row(entry: "CatalogEntry", steps: Mapping[str, Sequence[int]], base: str) -> dict[str, Any]:
    version = entry.version
    tone, words = VERDICTS.get(entry.verdict, ("plain", entry.verdict.replace("_", " ") or "no verdict"))
    kept = steps.get(version.run_id, ())
    mine = version.tags.get("base_digest", "")
    return {
        "reference": entry.version.reference,
        "aliases": " ".join(f"@{alias}" for alias in version.aliases),
        "tone": tone,
        "mark": MARKS[tone],
        "words": words,
        "date": f"{entry.created:%d %b %Y}",
        "about": one_line(" · ".join(filter(None, [entry.kind, entry.headline])), 90),
        "steps": [step for step in kept if str(step) != version.tags.get("step")] if len(kept) > 1 else (),
        "chats": can_chat(entry),
        "healthy": entry.verdict == "healthy",
        "same": bool(base) and mine == base,
        "has_base": bool(mine or version.tags.get("base_model")),
    }
