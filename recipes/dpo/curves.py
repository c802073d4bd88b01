"""The curves of training on preferences: reward margin and accuracy, and log-probabilities of both answers, by step."""

from collections.abc import Callable, Sequence
from pathlib import Path

PICTURE = "preference_curves.png"
#: (title, unit, series by the name of their metric and their label)
PANELS = (
    ("Reward margin", "beta x nats", (("reward_margin", "chosen less rejected"),)),
    ("Reward accuracy", "share of pairs", (("reward_accuracy", "chosen above rejected"),)),
    ("Log-probability of an answer", "nats", (("log_probs_chosen", "chosen"), ("log_probs_rejected", "rejected"))),
)
COLOURS = ("#0b7285", "#e8590c")


def write(history: Callable[[str], Sequence[tuple[int, float]]], path: Path, title: str) -> None:
    """Draw the logged metrics of training (thin) and validation rows (marked) to a PNG at ``path``.

    Args:
        history: the (step, value) points of a metric, none where it was not logged.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title.replace("$", r"\$"), x=0.01, ha="left", fontsize=11)
    for axes, (name, unit, series) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for colour, (metric, label) in zip(COLOURS, series, strict=False):
            for phase, style in (
                ("train", {"linewidth": 0.8, "alpha": 0.5}),
                ("eval", {"linewidth": 2, "marker": "o"}),
            ):
                points = history(f"{phase}/{metric}")
                if points:
                    axes.plot(*zip(*points, strict=True), color=colour, label=f"{label}, {phase}", **style)
        axes.set_title(name, loc="left", fontsize=10)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(unit)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
