"""Why an answer is as it is: a version's verdict, metrics, lineage and notes as HTML, and the page's plain messages."""

import math
from collections.abc import Sequence
from urllib.parse import urlsplit

from demo.view.html import Markup, escaped, one_line

#: How a verdict looks and what its name says. Verdicts that are not here are shown by their own name.
VERDICTS = {
    "healthy": ("good", "healthy"),
    "not_learned": ("doubt", "has not learned"),
    "echoing": ("doubt", "echoes the prompt"),
    "memorising": ("doubt", "memorises"),
    "looping": ("doubt", "loops"),
    "diverged": ("bad", "diverged"),
}
MARKS = {"good": "✓", "doubt": "!", "bad": "✕", "plain": "·"}
NOTICES = {"error": ("bad", "✕", "alert"), "warn": ("doubt", "!", "status"), "info": ("plain", "i", "status")}


def why(
    title: str, verdict: str, reasons: Sequence[str], scores: Sequence[tuple[str, float | None, float | None]]
) -> Markup:
    """The head of the panel beside the chat: how good a version is.

    Args:
        title: the version, ``pirate/3``.
        verdict: the name of its verdict, empty where it has none, and ``reasons``, sentences with the figures behind.
        scores: (name, base's, its own) on the same held-out rows; None where it was not measured.
    """
    parts = [
        f'<header class="parley-head"><strong class="parley-name">{escaped(title)}</strong> {badge(verdict)}</header>',
        _list("parley-reasons", reasons),
        _table(scores),
    ]
    return Markup(f'<section class="parley-why" aria-label="About {escaped(title)}">{"".join(parts)}</section>')


def origin(lineage: Sequence[tuple[str, str]], run_url: str = "", notes: Sequence[str] = ()) -> Markup:
    """The foot of the panel: where a version comes from.

    Args:
        lineage: (what, which): dataset, base, run, commit, ...
        run_url: its run in the MLflow UI; anything that is no http or https address is left out.
        notes: plain sentences.
    """
    parts = [_lineage(lineage), _link(run_url), _list("parley-notes", notes)]
    return Markup(f'<section class="parley-why" aria-label="Where it comes from">{"".join(parts)}</section>')


def badge(verdict: str) -> Markup:
    """A verdict in words, with a mark that can be told apart without colours."""
    tone, words = VERDICTS.get(verdict, ("plain", verdict.replace("_", " ") or "no verdict"))
    return Markup(
        f'<span class="parley-verdict parley-{tone}"><span aria-hidden="true">{MARKS[tone]} </span>'
        f"{escaped(one_line(words, 40))}</span>"
    )


def _list(look: str, lines: Sequence[str]) -> str:
    return f'<ul class="{look}">{"".join(f"<li>{escaped(line)}</li>" for line in lines)}</ul>' if lines else ""


def _table(scores: Sequence[tuple[str, float | None, float | None]]) -> str:
    if not scores:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{number(base)}</td><td class="parley-now">{number(tuned)}</td>'
        f"<td>{_shift(base, tuned)}</td></tr>"
        for name, base, tuned in scores
    )
    return (
        '<table class="parley-scores"><thead><tr><th scope="col">held-out rows</th><th scope="col">base</th>'
        f'<th scope="col">tuned</th><th scope="col" class="parley-scale">0 – 1</th></tr></thead><tbody>{rows}</tbody>'
        "</table>"
    )


def number(value: float | None) -> str:
    """A metric with as many digits as it is worth: ``.94``, ``42.1``, ``1.2e+06``; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    if size != 0 and (size < 0.005 or size >= 1e5):
        return f"{value:.2g}"
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 1000 else f"{value:.0f}"


def _shift(base: float | None, tuned: float | None) -> str:
    """From an open dot to a full one on a line from 0 to 1, for metrics that are shares."""
    if base is None or tuned is None or not (0 <= base <= 1 and 0 <= tuned <= 1):
        return ""
    left, width = 100 * min(base, tuned), 100 * abs(tuned - base)
    return (
        f'<span class="parley-shift" aria-hidden="true"><i style="left:{left:.1f}%;width:{width:.1f}%"></i>'
        f'<b class="parley-from" style="left:{100 * base:.1f}%"></b><b style="left:{100 * tuned:.1f}%"></b></span>'
    )


def _lineage(lineage: Sequence[tuple[str, str]]) -> str:
    pairs = "".join(f"<dt>{escaped(what)}</dt><dd>{escaped(which)}</dd>" for what, which in lineage)
    return f'<dl class="parley-lineage">{pairs}</dl>' if pairs else ""


def _link(url: str) -> str:
    if not is_web_address(url):
        return ""
    return (
        f'<p><a class="parley-link" href="{escaped(url)}" target="_blank" rel="noopener noreferrer">'
        "the run in the MLflow UI<span aria-hidden='true'> ↗</span></a></p>"
    )


def is_web_address(url: str) -> bool:
    """True for an http or https address with a host; false for everything else, ``javascript:`` among it."""
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def empty_registry() -> Markup:
    """What stands in the page while no version is registered: how to make the first."""
    return Markup(
        '<section class="parley-empty" aria-label="No versions yet"><h2>No version yet</h2>'
        "<p>This page puts a base model and a version tuned from it side by side. Make the first one; a few minutes on "
        "a laptop without a GPU are enough. In the project's folder:</p>"
        "<pre><code>make pirate</code></pre><p>or, where MLflow is installed already:</p>"
        "<pre><code>mlflow run . -e pirate</code></pre>"
        "<p>Then press <strong>Refresh</strong> here: it appears without a restart.</p></section>"
    )


def notice(kind: str, line: str) -> Markup:
    """One line on top of the page; ``kind`` is error, warn or info."""
    tone, mark, role = NOTICES[kind]
    return Markup(
        f'<p class="parley-notice parley-{tone}" role="{role}"><span aria-hidden="true">{mark} </span>'
        f"{escaped(one_line(line))}</p>"
    )
