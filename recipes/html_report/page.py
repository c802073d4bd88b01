"""The report page: one HTML file that loads nothing, from ``ReportFacts``."""

import base64
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from data.html import render
from evals import claims_report
from evals.claims import Result
from recipes.html_report import examples
from recipes.html_report.facts import FLAG_WORDS, ClaimLine, Figure, MetricLine, ReportFacts

TEMPLATES = Path(__file__).with_name("templates")
#: Failures that are open from the start; a click shows the others.
OPEN_FAILURES = 3
#: Half of the width of an interval bar in percent, on which the end farther from 0 lies.
REACH = 46
GOOD, BAD = ("healthy",), ("diverged",)


def html(facts: ReportFacts) -> str:
    """The page."""
    held_out = [line for line in facts.metrics if "/" not in line.name]
    return render(
        TEMPLATES / "report.html",
        facts=facts,
        claims_header=claims_report.HEADER,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup((TEMPLATES / "filter.js").read_text(encoding="utf-8")) if facts.is_comparison else "",
        tone=_tone(facts),
        metrics=[line for line in held_out if line.headline or line.name == facts.primary],
        further=[line for line in held_out if not line.headline and line.name != facts.primary],
        side_effects=[line for line in facts.metrics if "/" in line.name],
        chosen=examples.choose(facts),
        won=(won := examples.winners(facts) if facts.is_comparison else ()),
        counts=examples.counts(won, facts),
        open_failures=OPEN_FAILURES,
        flag_words=FLAG_WORDS,
        flag_counts=Counter(flag for item in facts.items for flag in item.after_flags),
        bar=bar,
    )


def _tone(facts: ReportFacts) -> str:
    if facts.is_comparison:
        line = facts.primary_line
        return "good" if line and line.outcome in ("better", "worse") else "doubt"
    return "good" if facts.verdict in GOOD else "bad" if facts.verdict in BAD else "doubt"


def bar(line: MetricLine) -> dict[str, str] | None:
    """Where a change and its interval lie on a line whose middle is 0, in percent; each line has a scale of its own."""
    change = line.change
    if change is None or change.low is None or change.high is None:
        return None
    most = max(abs(change.low), abs(change.high)) or 1.0
    low, at, high = (50 + REACH * value / most for value in (change.low, change.change, change.high))
    return {"low": f"{low:.1f}", "width": f"{high - low:.1f}", "at": f"{at:.1f}"}


def claim_lines(results: Sequence[Result]) -> tuple[ClaimLine, ...]:
    """The outcomes of claims as lines of the page's table."""
    return tuple(ClaimLine(each.outcome, claims_report.cells(each)) for each in results)


def figure(title: str, description: str, path: Path) -> tuple[Figure, ...]:
    """The PNG at ``path`` as a figure, with the words beside it (``.txt``) if there are any; empty without the file."""
    if not path.is_file():
        return ()
    words = path.with_suffix(".txt")
    text = words.read_text(encoding="utf-8").strip() if words.is_file() else description
    return (Figure(title, text, base64.b64encode(path.read_bytes()).decode()),)
