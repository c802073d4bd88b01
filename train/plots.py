"""The loss curve: training and evaluation loss by step as a PNG, the best step marked, and as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from train.resume import Progress

Points = Sequence[tuple[int, float]]
UNIT = "nats per trained token"
INK, SOFT, TRAIN, EVAL = "#22303c", "#8a97a3", "#b9c7d3", "#0b7285"


def write_loss_curve(
    train: Points, progress: Progress, title: str, folder: Path, validated: bool = True, unit: str = UNIT
) -> list[Path]:
    """Write ``loss_curve.csv`` and, where there is a validation set, ``loss_curve.png`` to ``folder``.

    Args:
        train: (step, loss) points, as logged.
        validated: whether the evaluation rows were a validation set; else their loss is left out.
        unit: of the loss.
    """
    picture, table = folder / "loss_curve.png", folder / "loss_curve.csv"
    evals = progress.history if validated else []
    loss_table(train, evals, table)
    if not evals:
        return [table]
    loss_curve(train, evals, progress.best_step, title, picture, unit)
    return [table, picture]


def loss_curve(train: Points, evals: Points, best_step: int, title: str, path: Path, unit: str = UNIT) -> None:
    """Draw ``(step, loss)`` points to a PNG at ``path``; the eval loss at step 0 is the untrained model's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*_columns(train), color=TRAIN, linewidth=1.2, label="train loss, each step")
    axes.plot(*_columns(evals), color=EVAL, linewidth=2.2, marker="o", markersize=4, label="eval loss, validation rows")
    best = dict(evals).get(best_step)
    if best is not None:
        axes.plot([best_step], [best], "o", color="#e8590c", markersize=10, markerfacecolor="none", markeredgewidth=2)
        axes.annotate(
            f"best: {best:.3f} at step {best_step}",
            (best_step, best),
            xytext=(0, 16),
            textcoords="offset points",
            ha="right" if best_step > (evals[-1][0] * 0.6) else "left",
            color="#e8590c",
        )
    axes.set_title(title.replace("$", r"\$"), loc="left", color=INK, fontsize=11)
    axes.set_xlabel("optimizer step", color=INK)
    axes.set_ylabel(f"loss, {unit}", color=INK)
    axes.set_ylim(0, 1.12 * max(loss for _, loss in [*train, *evals]))
    axes.grid(axis="y", color="#e9eef2")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT)
    axes.legend(frameon=False, labelcolor=INK, loc="upper right" if evals[-1][1] < 0.8 * evals[0][1] else "lower left")
    figure.savefig(path)


def loss_table(train: Points, evals: Points, path: Path) -> None:
    """Write one CSV line a step: step, train loss, eval loss (empty where there is none)."""
    by_step = dict(train), dict(evals)
    with path.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["step", "train_loss", "eval_loss"])
        for step in sorted({*by_step[0], *by_step[1]}):
            table.writerow([step, by_step[0].get(step, ""), by_step[1].get(step, "")])


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [loss for _, loss in points]
