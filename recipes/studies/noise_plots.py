"""Curves of a noise study: each metric against the rate of wrong labels, one line per kind of corruption."""

from collections.abc import Sequence
from pathlib import Path

from evals.label_errors import best_ece
from evals.significance import SHARE
from recipes.studies.curves import Axis, Cells, Series, Subplot, plot_curves, style


def _half(rate: float) -> float:
    return 0.5


RATE = Axis("rate", "rate of wrong labels")
SUBPLOTS = (
    Subplot("accuracy", "accuracy", 0.4, 1, _half, "chance"),
    Subplot("auc", "AUC", 0.4, 1, _half, "chance"),
    Subplot("ece", "ECE", 0, 0.6, best_ece, "perfect on random noise"),
    Subplot("memorised_share", "flipped rows memorised"),
    Subplot("detection_auroc", "flipped rows found (AUROC)", 0.4, 1, _half, "chance"),
    Subplot("mc1", "MC1"),
)


def rate_curves(cells: Cells, title: str, path: Path, by: str = "kind", subplots: Sequence[Subplot] = SUBPLOTS) -> None:
    """Draw the metrics of ``cells`` against their ``rate``, one line per value of the setting ``by``.

    Raises:
        ValueError: no cell has any of the metrics.
    """
    names = list(dict.fromkeys(str(cell[by]) for cell in cells))
    series = [
        Series(name, (name,), [cell for cell in cells if str(cell[by]) == name], *style(i))
        for i, name in enumerate(names)
    ]
    plot_curves(series, subplots, RATE, [by], title, path, SHARE)
