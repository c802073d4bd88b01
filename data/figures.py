"""How pictures look and what stands beside them: colours, axes, their numbers as CSV, what they show in words."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

#: Of words and lines; of marks; of training, of evaluation; of what is to be noticed; of grid lines and background.
INK, SOFT, TRAIN, EVAL, WARM, GRID, PAPER = "#22303c", "#8a97a3", "#b9c7d3", "#0b7285", "#e8590c", "#e9eef2", "#ffffff"


def blank_figure(width: float, height: float, rows: int, columns: int, **settings: Any) -> tuple[Any, Any]:
    """(a figure of so many inches, its axes in rows and columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **settings)


def style_axes(axes: Any) -> None:
    """Give axes the look of all our pictures."""
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)


def plain(text: str) -> str:
    """Without matplotlib taking a dollar sign for mathematics."""
    return text.replace("$", r"\$")


def write_table(path: Path, header: Sequence[str], records: Iterable[Sequence[Any]]) -> None:
    """Write the figures of the picture at ``path`` as CSV beside it; None is left empty."""
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out)
        table.writerow(header)
        table.writerows(["" if value is None else value for value in record] for record in records)


def describe(path: Path, text: str) -> None:
    """Write what the picture at ``path`` shows as plain text beside it."""
    path.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
