"""The held-out rows of two compared versions, from the report that a run keeps: found, filtered and ordered."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from data.errors import UserError
from demo.lazy import import_lock

TIE = 1e-9
OUTCOMES = ("improved", "unchanged", "worse")
SORTS = ("row", "difference", "left score", "right score")
_runs: dict[tuple[str, str], str] = {}  # of every pair that was found, the run that keeps its report
COLUMNS = ("number", "prompt", "reference", "before", "after", "before_score", "after_score", "difference", "outcome")


@dataclass(frozen=True)
class HeldOutRow:
    """One held-out row with both answers; ``difference``: right score less left score, None where one is undefined."""

    item: Mapping[str, Any]
    difference: float | None
    outcome: str

    @property
    def flags(self) -> tuple[str, ...]:
        """What is wrong with the right answer, in words of the report: echo, loop, cut, copied, ..."""
        return tuple(self.item["after_flags"])


@dataclass(frozen=True)
class Comparison:
    """Two models on the same held-out rows. ``facts``: what the run's ``report.json`` holds."""

    sides: tuple[str, str]
    rows: tuple[HeldOutRow, ...]
    facts: Mapping[str, Any]

    def counts(self) -> dict[str, int]:
        """How many rows have each outcome."""
        return {name: sum(row.outcome == name for row in self.rows) for name in OUTCOMES}

    @property
    def primary(self) -> Mapping[str, Any] | None:
        """The line of the metric by which rows are scored, with its change and interval."""
        return next((line for line in self.facts["metrics"] if line["name"] == self.facts["primary"]), None)

    def csv(self) -> str:
        """All rows as CSV with a header."""
        out = io.StringIO()
        writer = csv.DictWriter(out, [*COLUMNS, "flags"], extrasaction="ignore")
        writer.writeheader()
        for row in self.rows:
            derived = {"difference": row.difference, "outcome": row.outcome, "flags": " ".join(row.flags)}
            writer.writerow({**row.item, **derived})
        return out.getvalue()


def select(
    rows: Sequence[HeldOutRow], outcome: str = "", text: str = "", flag: str = "", sort: str = "row"
) -> list[HeldOutRow]:
    """The rows with this outcome, flag and text (in any case, in prompt, reference or answers); empty takes all.

    ``sort``: one of ``SORTS``; differences come with the largest first, scores with the lowest first.
    """
    wanted = text.casefold().strip()
    fields = ("prompt", "reference", "before", "after")
    found = [
        row
        for row in rows
        if outcome in ("", row.outcome)
        and (not flag or flag in row.flags)
        and (not wanted or any(wanted in str(row.item[name]).casefold() for name in fields))
    ]
    keys = {"left score": "before_score", "right score": "after_score"}
    if sort == "difference":
        return sorted(found, key=lambda row: -abs(row.difference or 0.0))
    if sort in keys:
        return sorted(found, key=lambda row: (row.item[keys[sort]] is None, row.item[keys[sort]] or 0.0))
    return found


def from_report(text: str, sides: tuple[str, str]) -> Comparison:
    """The comparison in the text of a run's ``report.json``."""
    facts = json.loads(text)
    lowest = bool(facts["lowest_is_best"])
    return Comparison(sides, tuple(_row(item, lowest) for item in facts["items"]), facts)


def _row(item: Mapping[str, Any], lowest_is_best: bool) -> HeldOutRow:
    before, after = item["before_score"], item["after_score"]
    if before is None or after is None:
        return HeldOutRow(item, None, "unchanged")
    gain = (after - before) * (-1 if lowest_is_best else 1)
    return HeldOutRow(item, after - before, "unchanged" if abs(gain) <= TIE else "improved" if gain > 0 else "worse")


def find(left: str, right: str) -> Comparison | None:
    """The comparison of ``right`` with ``left`` that a run keeps; None where it has yet to be computed.

    Raises:
        UserError: the two can't be compared: one is a checkpoint or scaled, both are one, or there is no such version.
    """
    for reference in (left, right):
        part = reference.rpartition(":")[2] if ":" in reference else ""
        if part.isdigit() or part.startswith("x"):
            what = "checkpoint" if part.isdigit() else "scaled adapter"
            raise UserError(f"{reference} is a {what}; held-out rows are compared for versions and bases")
    if left and left == right:
        raise UserError(f"both sides are {left}: there is nothing to compare")
    if right.endswith(":base") or not left or not right:
        raise UserError("choose a version on the right: the left side is its base, or another version")
    with import_lock:
        from registry import report_files
        from registry.versions import resolve
    first, second = resolve(left.removesuffix(":base")), resolve(right)
    if not left.endswith(":base"):
        run_id = report_files.find_comparison(*(each.reference for each in (first, second)))
    elif all(first.tags.get(key) == second.tags.get(key) for key in ("base_model", "base_digest")):
        run_id = second.run_id
    else:
        raise UserError(f"{left} is another base than that of {right}")
    if not run_id:
        return None
    _runs[left, right] = run_id
    return _kept(run_id, (left, right))


def find_again(left: str, right: str) -> Comparison | None:
    """The same; where it was found before, neither registry nor store is asked again."""
    run_id = _runs.get((left, right))
    return _kept(run_id, (left, right)) if run_id else find(left, right)


@lru_cache(8)
def _kept(run_id: str, sides: tuple[str, str]) -> Comparison | None:
    with import_lock:
        from registry import report_files
    text = report_files.load_text(run_id, report_files.RECORD)
    return from_report(text, sides) if text else None
