"""The evaluation as text: the last lines on screen, and the page that the run keeps."""

from collections.abc import Sequence

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


def table(found: Comparison) -> str:
    """All metrics, aligned for a terminal."""
    lines = [HEAD, *rows(found)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        f"{name:<{widths[0]}}  {n:>{widths[1]}}  {base:>{widths[2]}}  {tuned:>{widths[3]}}  {change}".rstrip()
        for name, n, base, tuned, change in lines
    )


def markdown(title: str, lines: Sequence[str], found: Comparison) -> str:
    """The same as a page."""
    cells = [HEAD, ("---", "---:", "---:", "---:", "---"), *rows(found)]
    return "\n".join([f"# {title}", "", *lines, "", *(f"| {' | '.join(row)} |" for row in cells), ""])
