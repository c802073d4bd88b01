"""The curves of training on preferences: reward margin and accuracy, and log-probabilities of both answers, by step."""

from collections.abc import Callable, Sequence
from pathlib import Path

from data.figures import EVAL, INK, PAPER, WARM, blank_figure, plain, style_axes

PICTURE = "preference_curves.png"
#: (title, unit, series by the name of their metric and their label)
PANELS = (
    ("Reward margin", "beta x nats", (("reward_margin", "chosen less rejected"),)),
    ("Reward accuracy", "share of pairs", (("reward_accuracy", "chosen above rejected"),)),
    ("Log-probability of an answer", "nats", (("log_probs_chosen", "chosen"), ("log_probs_rejected", "rejected"))),
)
COLOURS = (EVAL, WARM)


def write(history: Callable[[str], Sequence[tuple[int, float]]], path: Path, title: str) -> None:
    """Draw the logged metrics of training (thin) and validation rows (marked) to a PNG at ``path``.

    Args:
        history: the (step, value) points of a metric, none where it was not logged.
    """
    figure, places = blank_figure(11, 3.6, 1, len(PANELS))
    figure.suptitle(plain(title), x=0.01, ha="left", color=INK, fontsize=11)
    for axes, (name, unit, series) in zip(places, PANELS, strict=True):
        for colour, (metric, label) in zip(COLOURS, series, strict=False):
            for phase, style in (
                ("train", {"linewidth": 0.8, "alpha": 0.5}),
                ("eval", {"linewidth": 2, "marker": "o"}),
            ):
                points = history(f"{phase}/{metric}")
                if points:
                    axes.plot(*zip(*points, strict=True), color=colour, label=f"{label}, {phase}", **style)
        axes.set_title(name, loc="left", color=INK, fontsize=10)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel(unit)
        style_axes(axes)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.savefig(path, facecolor=PAPER)
