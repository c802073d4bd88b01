"""Loss curves and win rates as small pictures: SVG and HTML that follow the page's colours, without scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from demo.view.details import number
from demo.view.html import Markup, escaped

Points = Sequence[tuple[int, float]]

WIDTH, HEIGHT = 360, 214
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 32, 36
LARGEST = 1e300
BINS = 140


@dataclass(frozen=True)
class _Scale:
    """Where steps and losses lie in the picture."""

    last_step: int
    ticks: tuple[float, ...]

    def x(self, step: float) -> float:
        return LEFT + step / self.last_step * (WIDTH - LEFT - RIGHT)

    def y(self, loss: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return TOP + (high - loss) / (high - low) * (HEIGHT - TOP - BOTTOM)


def loss_curve(
    train: Points, evals: Points, best_step: int | None, checkpoints: Sequence[int] = (), selected: int | None = None
) -> Markup:
    """The loss curve as inline SVG: train loss thin, eval loss thick with dots, the best step in a ring.

    Args:
        train: (optimizer step, loss) of each step; points that are no finite number are left out, and the text says so.
        evals: the same for the validation rows; step 0 is the untrained model.
        best_step: the step of the weights that were registered, if it is known.
        checkpoints: steps whose weights were kept; they are marked on the axis.
        selected: the step whose weights speak now.
    """
    shown, dots = _finite(train), _finite(evals)
    if not shown and not dots:
        return Markup('<p class="parley-hint">No loss curve: this run has logged no finite loss.</p>')
    last = max(1, *(step for step, _ in [*shown, *dots]), *checkpoints, selected or 0)
    losses = [loss for _, loss in [*shown, *dots]]
    scale = _Scale(last, nice_ticks(min(0.0, *losses), max(0.0, *losses)))
    left_out = len(train) + len(evals) - len(shown) - len(dots)
    parts = [
        *_grid(scale),
        _line(_thinned(shown, last), scale, "parley-train"),
        _selection(selected, dots, scale),
        _line(dots, scale, "parley-eval"),
        *(f'<circle class="parley-dot" cx="{scale.x(s):.1f}" cy="{scale.y(v):.1f}" r="2.6"/>' for s, v in dots),
        *(_kept(step, step == selected, scale) for step in sorted(set(checkpoints))),
        _best(best_step, dots, scale),
        _legend(bool(shown), bool(dots)),
    ]
    return Markup(
        f'<svg class="parley-curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>Loss curve</title><desc>{escaped(_in_words(shown, dots, best_step, selected, left_out))}</desc>"
        f"{''.join(parts)}</svg>"
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


def nice_ticks(low: float, high: float, most: int = 5) -> tuple[float, ...]:
    """Round numbers (1, 2 or 5 times a power of ten apart) from at most ``low`` to at least ``high``."""
    if not high - low > 1e-12:
        high = low + 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * times for times in (1, 2, 5, 10, 20) if (high - low) / (power * times) <= most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(step * at for at in range(first, last + 1))


def _grid(scale: _Scale) -> list[str]:
    parts = []
    for tick in scale.ticks:
        y = scale.y(tick)
        look = "parley-axis" if tick == scale.ticks[0] else "parley-grid"
        parts.append(f'<path class="{look}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick, scale.ticks)}</text>')
    for tick in nice_ticks(0, scale.last_step):
        if tick == int(tick) and tick <= scale.last_step:
            parts.append(
                f'<text x="{scale.x(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:.7g}</text>'
            )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">optimizer step</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="15" text-anchor="end">loss, nats per token</text>')
    return parts


def _tick(value: float, ticks: Sequence[float]) -> str:
    apart = ticks[1] - ticks[0]
    if max(abs(ticks[0]), abs(ticks[-1])) >= 1e4 or apart < 1e-3:
        return f"{value:.3g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    return f"{value:.{max(0, -math.floor(math.log10(apart) + 1e-9))}f}"


def _line(points: Points, scale: _Scale, look: str) -> str:
    if len(points) < 2:
        return "".join(
            f'<circle class="{look}-alone" cx="{scale.x(s):.1f}" cy="{scale.y(v):.1f}" r="2"/>' for s, v in points
        )
    path = "L".join(f"{scale.x(step):.1f} {scale.y(loss):.1f}" for step, loss in points)
    return f'<path class="{look}" d="M{path}"/>'


def _selection(selected: int | None, dots: Points, scale: _Scale) -> str:
    if selected is None or selected < 0:
        return ""
    x, at = scale.x(selected), dict(dots).get(selected)
    mark = "" if at is None else f'<circle class="parley-speaks" cx="{x:.1f}" cy="{scale.y(at):.1f}" r="4.6"/>'
    return f'<path class="parley-now-line" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>{mark}'


def _kept(step: int, is_selected: bool, scale: _Scale) -> str:
    look = "parley-kept parley-kept-now" if is_selected else "parley-kept"
    return f'<path class="{look}" d="M{scale.x(step):.1f} {HEIGHT - BOTTOM - 4.5:.1f}l4.5 4.5l-4.5 4.5l-4.5-4.5z"/>'


def _best(best_step: int | None, dots: Points, scale: _Scale) -> str:
    best = None if best_step is None else dict(dots).get(best_step)
    if best_step is None or best is None:
        return ""
    x, y = scale.x(best_step), scale.y(best)
    right = best_step > 0.55 * scale.last_step
    below = y < TOP + 24
    return (
        f'<circle class="parley-best" cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        f'<text class="parley-best-text" x="{x + (4 if right else -4):.1f}" y="{y + (22 if below else -14):.1f}" '
        f'text-anchor="{"end" if right else "start"}">best {number(best)} at step {best_step}</text>'
    )


def _legend(train: bool, evals: bool) -> str:
    parts, x = [], LEFT
    for there, look, words in ((train, "parley-train", "train"), (evals, "parley-eval", "validation")):
        if there:
            parts.append(f'<path class="{look}" d="M{x} 11h16"/><text x="{x + 21}" y="15">{words}</text>')
            x += 66
    return "".join(parts)


def _in_words(train: Points, evals: Points, best_step: int | None, selected: int | None, left_out: int) -> str:
    parts = [
        f"{name} loss from {number(points[0][1])} at step {points[0][0]} to {number(points[-1][1])} at step "
        f"{points[-1][0]}."
        for name, points in (("Train", train), ("Validation", evals))
        if points
    ]
    best = dict(evals).get(best_step) if best_step is not None else None
    parts += [f"The best is {number(best)} at step {best_step}."] if best is not None else []
    parts += [f"The weights of step {selected} speak now."] if selected is not None else []
    parts += [f"{left_out} points that are no finite numbers are left out."] if left_out else []
    return " ".join(parts)


def interval_bar(rate: float, low: float, high: float) -> Markup:
    """A share with its 95 % interval as a bar with whiskers; NaN, as before the first vote, gives an empty one."""
    if not all(math.isfinite(value) for value in (rate, low, high)):
        return Markup('<span class="parley-interval" role="img" aria-label="no votes yet"></span>')
    low, rate, high = (min(1.0, max(0.0, value)) for value in (low, rate, high))
    return Markup(
        f'<span class="parley-interval" role="img" aria-label="{rate:.0%}, 95 % interval {low:.0%} to {high:.0%}">'
        f'<i style="width:{100 * rate:.1f}%"></i><s style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></s>'
        "</span>"
    )
