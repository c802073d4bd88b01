"""Curves against the rate of wrong labels, one line per kind of corruption; or of wrong preferences, one per loss."""

from collections.abc import Sequence
from pathlib import Path

from evals.label_errors import best_ece
from evals.metrics import for_studies
from recipes.studies.curves import Axis, Cells, Series, Subplot, plot_curves, style, subplot_of
from recipes.studies.statistics import NOISE_DATA

RATE = Axis("rate", "rate of wrong labels")
FLIPPED = Axis("rate", "share of pairs turned round")
#: What theory predicts for the optimal classifier of symmetric noise, by its rate, and its name in plots.
THEORY = {"ece": (best_ece, "perfect on random noise")}


def subplots() -> list[Subplot]:
    """A subplot for each metric that ``METRICS`` marks for plots of classification and of training rows."""
    return [subplot_of(each, *THEORY.get(each.name, (None, ""))) for each in for_studies("plot", *NOISE_DATA)]


def preference_subplots() -> list[Subplot]:
    """A subplot for each metric of held-out preferences that ``METRICS`` marks for plots."""
    return [subplot_of(each) for each in for_studies("plot", "preferences")]


def rate_curves(
    cells: Cells, title: str, path: Path, by: str = "kind", shown: Sequence[Subplot] = (), axis: Axis = RATE
) -> None:
    """Draw the metrics of ``cells`` against their ``rate``, one line per value of the setting ``by``.

    Args:
        shown: the metrics; empty takes ``subplots()``.

    Raises:
        ValueError: no cell has any of the metrics.
    """
    names = list(dict.fromkeys(str(cell[by]) for cell in cells))
    series = [
        Series(name, (name,), [cell for cell in cells if str(cell[by]) == name], *style(i))
        for i, name in enumerate(names)
    ]
    plot_curves(series, shown or subplots(), axis, [by], title, path)
