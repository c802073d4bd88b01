"""A version's verdict, scores, lineage and notes as HTML, and the page's one-line messages."""

import math
from collections.abc import Sequence
from urllib.parse import urlsplit

from demo.view.html import Markup, fragment, one_line

#: verdict -> (tone, words); verdicts of other tools are shown by their own name
VERDICTS = {
    "healthy": ("good", "healthy"),
    "not_learned": ("doubt", "has not learned"),
    "unfinished": ("doubt", "does not end its answers"),
    "echoing": ("doubt", "echoes the prompt"),
    "memorising": ("doubt", "memorises"),
    "looping": ("doubt", "loops"),
    "wrong_length": ("doubt", "answers of another length"),
    "unrelated": ("doubt", "answers beside the prompt"),
    "garbled": ("doubt", "words in any order"),
    "likelihood_collapse": ("doubt", "both answers less likely"),
    "preference_not_learned": ("doubt", "preference not learned"),
    "length_gaming": ("doubt", "games the length"),
    "not_better": ("doubt", "no better than its base"),
    "not_shown": ("doubt", "too few rows to tell"),
    "side_effects": ("doubt", "has side effects"),
    "diverged": ("bad", "diverged"),
}
#: Scores beyond these are folded.
MOST_SCORES = 10
MARKS = {"good": "✓", "doubt": "!", "bad": "✕", "plain": "·"}
NOTICES = {"error": ("bad", "✕", "alert"), "warn": ("doubt", "!", "status"), "info": ("plain", "i", "status")}


def quality(
    title: str, verdict: str, reasons: Sequence[str], scores: Sequence[tuple[str, float | None, float | None]]
) -> Markup:
    """The upper panel beside the conversation: how good a version is.

    Args:
        title: the version, ``pirate/3``.
        verdict: the name of its verdict, empty where it has none.
        reasons: the verdict's reasons, one sentence each.
        scores: (name, base's, its own) on the same held-out rows; None where it was not measured.
    """
    rows = [(name.replace("_", " "), number(base), number(tuned), _change(base, tuned)) for name, base, tuned in scores]
    parts = [part for part in (rows[:MOST_SCORES], rows[MOST_SCORES:]) if part]
    return fragment("quality.html", title=title, badge=badge(verdict), reasons=reasons, parts=parts)


def origin(lineage: Sequence[tuple[str, str]], run_url: str = "", notes: Sequence[str] = ()) -> Markup:
    """The lower panel beside the conversation: where a version comes from.

    Args:
        lineage: (label, value): dataset, base, run, commit, ...
        run_url: its run in the MLflow UI; anything that is no http or https address is left out.
        notes: one sentence each.
    """
    url = run_url if is_web_address(run_url) else ""
    return fragment("lineage.html", lineage=lineage, run_url=url, notes=notes)


def badge(verdict: str) -> Markup:
    """A verdict in words, with a mark that does not depend on colour."""
    tone, words = VERDICTS.get(verdict, ("plain", verdict.replace("_", " ") or "no verdict"))
    return fragment("badge.html", tone=tone, mark=MARKS[tone], words=one_line(words, 40))


def number(value: float | None) -> str:
    """A metric with about three digits: ``0.94``, ``42.1``, ``1.2e+06``; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    if size != 0 and (size < 0.005 or size >= 1e5):
        return f"{value:.2g}"
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.0f}"


def signed(value: float | None) -> str:
    """A change in the same digits with its sign; ``unknown`` where there is none."""
    return "unknown" if value is None else ("+" if value > 0 else "−" if value < 0 else "") + number(abs(value))


def _change(base: float | None, tuned: float | None) -> dict[str, str] | None:
    """Positions in percent on a line from 0 to 1, for metrics that are proportions; None for others."""
    if base is None or tuned is None or not (0 <= base <= 1 and 0 <= tuned <= 1):
        return None
    places = {"left": min(base, tuned), "width": abs(tuned - base), "base": base, "tuned": tuned}
    return {name: f"{100 * value:.1f}" for name, value in places.items()}


def is_web_address(url: str) -> bool:
    """True for an http or https address with a host; false for everything else, ``javascript:`` among it."""
    if any(character.isspace() or not character.isprintable() for character in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def empty_registry() -> Markup:
    """What stands in the page while no version is registered: how to make the first."""
    return fragment("empty_registry.html")


def notice(kind: str, line: str) -> Markup:
    """One line on top of the page; ``kind`` is error, warn or info."""
    tone, mark, role = NOTICES[kind]
    return fragment("notice.html", tone=tone, mark=mark, role=role, line=one_line(line))
