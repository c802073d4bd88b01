"""The columns' dropdowns, their buttons and the checkpoint slider: which of them are shown, and with what."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.share_links import Shared
from demo.version_cache import VersionCache
from demo.view import render

MOST_COLUMNS = len(render.NAMES)
SCALES = ("-1", "0", "0.5", "1", "1.5", "2")
FEWER_SCALES = ("0", "0.5", "1", "2")


def resized_by(change: int, versions: VersionCache) -> Callable[..., list[Any]]:
    """The handler that shows one column more (1), with the version before, or removes the last one (-1)."""

    def resize(*columns: str) -> list[Any]:
        shown = max(2, max((i + 1 for i, column in enumerate(columns) if column), default=0))
        width = min(MOST_COLUMNS, max(2, shown + change))
        values = [*columns]
        if change > 0 and width > shown:
            values[width - 1] = render.next_column(versions.entries, columns[:shown])
        kept = [value if i < width else None for i, value in enumerate(values)]
        boxes = [gr.Dropdown(visible=i < width, value=value) for i, value in enumerate(kept)]
        return [*boxes, *column_buttons(width)]

    return resize


def scales_of(most: int) -> Callable[..., list[Any]]:
    """The handler that puts the rightmost version into the columns, its adapter scaled by -1, 0 (its base) up to 2.

    ``most``: how many columns the page has; with fewer than six the scales are 0, 0.5, 1 and 2.
    """
    scales = (SCALES if most >= len(SCALES) else FEWER_SCALES)[:most]

    def scaled(*columns: str) -> list[Any]:
        at = rightmost_version(columns)
        if at is None:
            raise UserError("choose a version first: a base has no adapter to scale")
        name = columns[at].partition(":x")[0]
        boxes = [gr.Dropdown(value=f"{name}:x{scale}", visible=True) for scale in scales]
        boxes += [gr.Dropdown(value=None, visible=False)] * (MOST_COLUMNS - len(scales))
        return ["", *boxes, *column_buttons(len(scales))]

    return scaled


def rightmost_version(columns: Sequence[str]) -> int | None:
    """Index of the last column that shows a version and not its base."""
    return max((i for i, column in enumerate(columns) if column and not column.endswith(":base")), default=None)


def version_of(columns: Sequence[str], versions: VersionCache) -> tuple[str, str]:
    """Name and number of the version in the rightmost column that is no base, and its kind; empty for none.

    Raises:
        UserError: there is no such version.
    """
    at = rightmost_version(columns)
    if at is None:
        return "", ""
    details, _ = versions.details(columns[at])
    return f"{details.version.name}/{details.version.number}", details.kind


def step_slider(steps: Sequence[int], now: int | None) -> gr.Slider:
    """The slider over kept checkpoints, hidden where there is no choice."""
    if len(steps) < 2:
        return gr.Slider(visible=False)
    apart = min(after - before for before, after in zip(steps, steps[1:], strict=False))
    return gr.Slider(
        minimum=steps[0], maximum=steps[-1], step=apart, value=steps[-1] if now is None else now, visible=True
    )


def columns_of(shared: Shared) -> list[gr.Dropdown]:
    """The columns that show what ``shared`` names."""
    references = [*shared.references, *[None] * (MOST_COLUMNS - len(shared.references))]
    return [gr.Dropdown(value=value, visible=i < max(2, len(shared.references))) for i, value in enumerate(references)]


def column_buttons(width: int) -> list[gr.Button]:
    """The buttons that add and remove a column, each shown where it can."""
    return [gr.Button(visible=width < MOST_COLUMNS), gr.Button(visible=width > 2)]
