"""Curves of a pirate study: each metric against the number of epochs, one line per training set and kind of labels."""

from pathlib import Path

from evals.metrics import for_studies
from recipes.studies.curves import Axis, Cells, Series, Subplot, plot_curves, style, subplot_of

EPOCHS = Axis("epochs", "epochs", preposition="after", is_log=True)


def subplots() -> list[Subplot]:
    """A subplot for each metric of generated answers that ``METRICS`` marks for plots."""
    return [subplot_of(each) for each in for_studies("plot", "answers")]


def epoch_curves(cells: Cells, title: str, path: Path) -> None:
    """Draw the metrics of ``cells``; lines of training on all labels are dashed.

    Raises:
        ValueError: no cell has any of the metrics.
    """
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    lines = dict.fromkeys((cell["set"], cell["labels"]) for cell in cells)
    series = [
        Series(
            f"{Path(name).name} with {labels} labels",
            (name, labels),
            [cell for cell in cells if (cell["set"], cell["labels"]) == (name, labels)],
            *style(sets.index(name)),
            is_dashed=labels == "all",
        )
        for name, labels in lines
    ]
    plot_curves(series, subplots(), EPOCHS, ["set", "labels"], title, path)
