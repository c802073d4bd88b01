"""The evaluation as text: the last lines on screen, and the page that the run keeps."""

from collections.abc import Sequence

from data.columns import aligned
from data.markdown import table
from recipes.evaluation.comparison import Comparison

HEAD = ("metric", "items", "base", "tuned", "change (95 % interval)")


def rows(found: Comparison) -> list[tuple[str, ...]]:
    """One row a metric: its name, items, both values, and the change with its interval."""
    out = []
    for name in dict.fromkeys([*found.before, *found.after]):
        change = found.changes.get(name)
        values = (f"{side[name]:.3f}" if name in side else "-" for side in (found.before, found.after))
        out.append((
            name, str(change.n) if change else "-", *values,
            change.text() if change else "no interval: it is not a mean of items",
        ))  # fmt: skip
    return out


def screen(found: Comparison) -> str:
    """All metrics, aligned for a terminal."""
    return "\n".join(aligned([HEAD, *rows(found)], right=(1, 2, 3)))


def markdown(title: str, lines: Sequence[str], found: Comparison) -> str:
    """The same as a page."""
    return "\n".join([f"# {title}", "", *lines, "", *table(HEAD, rows(found), left=(0, 4)), ""])
