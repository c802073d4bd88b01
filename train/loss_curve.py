"""The loss curve: training and evaluation loss by step as a PNG, the best step marked, and as CSV."""

from collections.abc import Sequence
from pathlib import Path

from data.figures import EVAL, INK, TRAIN, WARM, blank_figure, plain, style_axes, write_table
from train.resume import Progress

Points = Sequence[tuple[int, float]]
UNIT = "nats per trained token"


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
    figure, axes = blank_figure(8, 4.5, 1, 1)
    axes.plot(*_columns(train), color=TRAIN, linewidth=1.2, label="train loss, each step")
    axes.plot(*_columns(evals), color=EVAL, linewidth=2.2, marker="o", markersize=4, label="eval loss, validation rows")
    best = dict(evals).get(best_step)
    if best is not None:
        axes.plot([best_step], [best], "o", color=WARM, markersize=10, markerfacecolor="none", markeredgewidth=2)
        axes.annotate(
            f"best: {best:.3f} at step {best_step}",
            (best_step, best),
            xytext=(0, 16),
            textcoords="offset points",
            ha="right" if best_step > (evals[-1][0] * 0.6) else "left",
            color=WARM,
        )
    axes.set_title(plain(title), loc="left", color=INK, fontsize=11)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel(f"loss, {unit}")
    axes.set_ylim(0, 1.12 * max(loss for _, loss in [*train, *evals]))
    style_axes(axes)
    axes.legend(frameon=False, labelcolor=INK, loc="upper right" if evals[-1][1] < 0.8 * evals[0][1] else "lower left")
    figure.savefig(path)


def loss_table(train: Points, evals: Points, path: Path) -> None:
    """Write one CSV line a step: step, train loss, eval loss (empty where there is none)."""
    losses, validation = dict(train), dict(evals)
    records = [(step, losses.get(step), validation.get(step)) for step in sorted({*losses, *validation})]
    write_table(path, ["step", "train_loss", "eval_loss"], records)


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [loss for _, loss in points]
