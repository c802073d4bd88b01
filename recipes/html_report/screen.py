"""Metrics of two models as a table for a terminal."""

from collections.abc import Sequence

from data.columns import aligned
from recipes.html_report.facts import MetricLine

INDENT = " " * 10


def metrics_table(lines: Sequence[MetricLine], sides: tuple[str, str], title: str, of_suites: bool = False) -> str:
    """The headline metrics of the held-out rows, a line each: both values, the change and its interval.

    ``of_suites``: those of retention suites instead, each with the number of its items, and all of a suite that has no
    headline metric, as ``spread`` where no style is known.
    """
    cells = [(title, *(["n"] if of_suites else []), *sides, "change (95 % interval)")]
    own = [line for line in lines if bool(line.suite) is of_suites]
    with_headline = {line.suite for line in own if line.headline}
    for line in own:
        if line.headline or line.suite not in with_headline:
            before, after = ("" if value is None else f"{value:{line.format}}" for value in (line.before, line.after))
            n = [f"{line.change.n:,}" if line.change else ""] if of_suites else []
            cells.append((line.label, *n, before, after, line.change.text(line.format) if line.change else ""))
    return f"\n{INDENT}".join(aligned(cells, right=range(1, len(cells[0]) - 1)))
