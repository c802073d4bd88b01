"""Loss curves as SVG and win rates as bars, in the page's colours, without scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from demo.view.details import number
from demo.view.html import Markup, fragment

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 360, 214
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 32, 36
LARGEST = 1e300
BINS = 140
MOST_TICKS = 5  # steps between the ticks of an axis


_FRAME = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}


@dataclass(frozen=True)
class _Scale:
    """Coordinates of steps and losses in the picture, in its own units, rounded to tenths."""

    last_step: int
    ticks: tuple[float, ...]

    def x(self, step: float) -> float:
        return round(LEFT + step / self.last_step * (WIDTH - LEFT - RIGHT), 1)

    def y(self, loss: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return round(TOP + (high - loss) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    def point(self, at: tuple[int, float]) -> tuple[float, float]:
        return self.x(at[0]), self.y(at[1])


def loss_curve(
    train: Points, evals: Points, best_step: int | None, checkpoints: Sequence[int] = (), selected: int | None = None
) -> Markup:
    """The loss curve as inline SVG: train loss thin, validation loss thick with dots, the best step in a ring.

    Args:
        train: (optimizer step, loss in nats per token) of each step; points that are not finite are left out, and the
            description says how many.
        evals: the same for the validation rows; step 0 is the untrained model.
        best_step: the step of the weights that were registered, if it is known.
        checkpoints: steps whose weights were kept; they are marked on the axis.
        selected: the step whose weights answer now.
    """
    shown, dots = _finite(train), _finite(evals)
    if not shown and not dots:
        return Markup('<p class="parley-hint">No loss curve: this run has logged no finite loss.</p>')
    last = max(1, *(step for step, _ in [*shown, *dots]), *checkpoints, selected or 0)
    losses = [loss for _, loss in [*shown, *dots]]
    scale = _Scale(last, nice_ticks(min(0.0, *losses), max(0.0, *losses)))
    left_out = len(train) + len(evals) - len(shown) - len(dots)
    return fragment(
        "loss_curve.svg",
        **_FRAME,
        description=_description(shown, dots, best_step, selected, left_out),
        loss_ticks=[(scale.y(tick), _tick_label(tick, scale.ticks)) for tick in scale.ticks],
        step_ticks=[(scale.x(tick), f"{tick:.7g}") for tick in nice_ticks(0, last) if tick == int(tick) <= last],
        train=[scale.point(each) for each in _thinned(shown, last)],
        validation=[scale.point(each) for each in dots],
        selected=_selected(selected, dots, scale),
        checkpoints=[(scale.x(step), step == selected) for step in sorted(set(checkpoints))],
        best=_best(best_step, dots, scale),
        legend=_legend(bool(shown), bool(dots)),
    )


def _finite(points: Points) -> list[tuple[int, float]]:
    """The points that can be drawn; no comparison holds for NaN."""
    return sorted((step, loss) for step, loss in points if abs(loss) < LARGEST and step >= 0)


def _thinned(points: Points, last: int) -> list[tuple[int, float]]:
    """At most two points, the lowest and the highest, of each of ``BINS`` stretches: spikes stay."""
    if len(points) <= 2 * BINS:
        return list(points)
    bins: dict[int, list[tuple[int, float]]] = {}
    for point in points:
        bins.setdefault(point[0] * BINS // (last + 1), []).append(point)
    ends = ({min(held, key=_loss), max(held, key=_loss)} for held in bins.values())
    return sorted(point for pair in ends for point in pair)


def _loss(point: tuple[int, float]) -> float:
    return point[1]


def nice_ticks(low: float, high: float) -> tuple[float, ...]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at most ``low`` to at least ``high``."""
    if not high - low > 1e-12:
        high = low + 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / MOST_TICKS))
    step = next(power * times for times in (1, 2, 5, 10, 20) if (high - low) / (power * times) <= MOST_TICKS)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(step * at for at in range(first, last + 1))


def _tick_label(value: float, ticks: Sequence[float]) -> str:
    apart = ticks[1] - ticks[0]
    if max(abs(ticks[0]), abs(ticks[-1])) >= 1e4 or apart < 1e-3:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    return f"{value:.{max(0, -math.floor(math.log10(apart) + 1e-9))}f}"


def _selected(step: int | None, dots: Points, scale: _Scale) -> dict[str, float | None] | None:
    """Where the selected step's line stands, and the dot of its validation loss if that was measured."""
    if step is None or step < 0:
        return None
    loss = dict(dots).get(step)
    return {"x": scale.x(step), "y": None if loss is None else scale.y(loss)}


def _best(step: int | None, dots: Points, scale: _Scale) -> dict[str, float | str] | None:
    """The ring round the best step, and its label where there is room for it: left or right, above or below."""
    loss = None if step is None else dict(dots).get(step)
    if step is None or loss is None:
        return None
    x, y = scale.point((step, loss))
    is_right, is_high = step > 0.55 * scale.last_step, y < TOP + 24
    return {
        "x": x,
        "y": y,
        "text_x": x + (4 if is_right else -4),
        "text_y": y + (22 if is_high else -14),
        "anchor": "end" if is_right else "start",
        "label": f"best {number(loss)} at step {step}",
    }


def _legend(train: bool, evals: bool) -> list[tuple[int, str, str]]:
    """(x, class, name) of the lines that there are, from the left."""
    entries = [("parley-train", "train")] * train + [("parley-eval", "validation")] * evals
    return [(LEFT + 66 * at, style, name) for at, (style, name) in enumerate(entries)]


def _description(train: Points, evals: Points, best_step: int | None, selected: int | None, left_out: int) -> str:
    parts = [
        f"{name} loss from {number(points[0][1])} at step {points[0][0]} to {number(points[-1][1])} at step "
        f"{points[-1][0]}."
        for name, points in (("Train", train), ("Validation", evals))
        if points
    ]
    best = dict(evals).get(best_step) if best_step is not None else None
    parts += [f"The best is {number(best)} at step {best_step}."] if best is not None else []
    parts += [f"The weights of step {selected} are selected."] if selected is not None else []
    parts += [f"{left_out} points that are not finite are left out."] if left_out else []
    return " ".join(parts)


def interval_bar(rate: float | None, interval: tuple[float, float] | None) -> Markup:
    """A proportion with its 95 % interval (each 0 to 1) as a bar with whiskers; empty where there is none."""
    if rate is None or interval is None:
        return fragment("interval_bar.html", rate=None)
    low, share, high = (100 * min(1.0, max(0.0, value)) for value in (interval[0], rate, interval[1]))
    return fragment("interval_bar.html", rate=share, low=low, high=high)
