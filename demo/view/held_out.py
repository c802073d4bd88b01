"""The held-out rows of a comparison as HTML: what changed, with its interval, and one card a row."""

from collections.abc import Sequence

from demo import comparisons
from demo.held_out import Comparison, HeldOutRow
from demo.step_process import StepProcess
from demo.view.details import number, signed
from demo.view.diff import marked
from demo.view.html import Markup, fragment
from demo.view.training import duration


def waiting(sides: tuple[str, str], process: StepProcess) -> Markup:
    """How far the comparison of ``sides`` is."""
    now, time = comparisons.phase(process.text), duration(process.seconds)
    return fragment("held_out_waiting.html", sides=sides, phase=now, time=time)


def summary(found: Comparison) -> Markup:
    """Counts of rows and the paired change of the metric that scores them, with its interval."""
    line = found.primary
    change = line["change"] if line else None
    return fragment(
        "held_out_summary.html",
        sides=found.sides,
        counts=found.counts(),
        rows=len(found.rows),
        total=found.facts["rows"],
        order=found.facts["order"],
        label=line["label"] if line else "",
        values=None if line is None else (number(line["before"]), number(line["after"])),
        change=change and [signed(change[name]) for name in ("change", "low", "high")],
    )


def rows(found: Comparison, shown: Sequence[HeldOutRow], first: int, most: int) -> Markup:
    """The rows ``shown[first : first + most]``."""
    cards = []
    for row in shown[first : first + most]:
        diff = marked(row.item["before"], row.item["after"])
        scores = (number(row.item["before_score"]), number(row.item["after_score"]))
        change = "–" if row.difference is None else signed(row.difference)
        answers = zip(found.sides, (diff.first, diff.other), scores, strict=True)
        cards.append({"row": row, "answers": list(answers), "change": change})
    last = min(first + most, len(shown))
    return fragment("held_out_rows.html", cards=cards, first=first + 1, last=last, total=len(shown))
