"""The list of all versions beside the columns' fields: models, their versions, and the checkpoints of these."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from demo.errors import guarded
from demo.lazy import import_lock
from demo.listeners import PRIVATE
from demo.version_cache import VersionCache
from demo.view import picker as view

COLUMNS = 2


class Picker:
    """Lays the list out, closed; it is made when it is opened.

    Args:
        columns: the fields of the left and the right column, which the list's buttons fill.
    """

    def __init__(self, columns: Sequence[gr.Dropdown], versions: VersionCache, notice: gr.HTML) -> None:
        self.columns, self.versions, self.notice = list(columns[:COLUMNS]), versions, notice
        with gr.Accordion("All versions", open=False, elem_id="picker") as self.box:
            self.list = gr.HTML(elem_id="picker-list", padding=False)
            self.choice = gr.Textbox(visible="hidden", show_label=False, elem_id="picker-choice")
            self.choose = gr.Button("Choose", visible="hidden", elem_id="picker-choose")

    def connect(self, redraw: Callable[[Any], None]) -> None:
        """Connect the list and its buttons; ``redraw(event)`` draws the panes anew after an event."""
        self.box.expand(guarded(self.show, 2), self.columns[1], [self.notice, self.list], **PRIVATE)
        outs = [self.notice, *self.columns]
        redraw(self.choose.click(guarded(self.fill, len(outs)), self.choice, outs, js="() => parley.pick", **PRIVATE))

    def show(self, right: str | None) -> list[Any]:
        """Every version; those with the base of ``right`` can be filtered for."""
        with import_lock:
            from registry import version_tree
        entries = self.versions.entries or self.versions.refresh()
        cells = version_tree.cell_runs() if entries else set()
        listed = [entry for entry in entries if entry.version.run_id not in cells]
        newest = sorted(listed, key=lambda entry: entry.created, reverse=True)
        steps = version_tree.kept_steps([entry.version for entry in newest]) if entries else {}
        return ["", view.tree(entries, cells, steps, (right or "").partition(":")[0])]

    @staticmethod
    def fill(choice: str) -> list[Any]:
        """Put the chosen version, ``COLUMN REFERENCE``, into its column."""
        column, _, reference = (choice or "").partition(" ")
        if column not in ("0", "1") or not reference:
            return [gr.skip()] * (1 + COLUMNS)
        return ["", *(reference if str(at) == column else gr.skip() for at in range(COLUMNS))]
