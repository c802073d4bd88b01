"""The part of the version panel that exports the version: its format, how far it is, and what the comparison found."""

from typing import Any

import gradio as gr

from data.errors import UserError
from demo.columns import version_of
from demo.errors import guarded
from demo.exports import OFFERED, Exports
from demo.listeners import PRIVATE
from demo.version_cache import VersionCache
from demo.view import exports as view
from demo.view.render import EXPORTED

PERIOD_S = 2.0
SPACE = "space"


class ExportBox:
    """Lays the panel out, folded, and connects it; the version is that of the rightmost column that is no base."""

    def __init__(
        self,
        exports: Exports,
        versions: VersionCache,
        columns: list[gr.Dropdown],
        notice: gr.HTML,
    ) -> None:
        self.exports, self.versions, self.columns = exports, versions, columns
        self.notice = notice

    def lay_out(self) -> None:
        """Make the controls."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 80}
        choices = [(f"{name}: {about}", name) for name, (_, _, about) in OFFERED.items()]
        with gr.Accordion("Export this version", open=False, visible=False, elem_id="exporting") as self.box:
            self.format = gr.Dropdown(choices, value="merged", label="format", elem_id="export-format")
            self.license = gr.Textbox(label="licence of the base", placeholder="empty: that of its card", visible=False,
                                      elem_id="export-license")  # fmt: skip
            with gr.Row(elem_classes="parley-again"):
                self.start = gr.Button("Export", variant="primary", elem_id="export-start", **small)
                self.stop = gr.Button("Stop", elem_id="export-stop", interactive=False, **small)
            self.card = gr.HTML(elem_id="export-card", padding=False)
        self.timer = gr.Timer(PERIOD_S, active=False)
        self._connect()

    @property
    def _outputs(self) -> list[Any]:
        return [self.notice, self.box, self.format, self.license, self.start, self.stop, self.card, self.timer]

    @property
    def update(self) -> dict[str, Any]:
        """The event that shows what the columns hold now."""
        return {
            "fn": guarded(self.show, len(self._outputs)),
            "inputs": self._inputs,
            "outputs": self._outputs,
            **PRIVATE,
        }

    @property
    def _inputs(self) -> list[Any]:
        return [self.format, *self.columns]

    def _connect(self) -> None:
        for event in (self.format.input, self.box.expand, self.timer.tick):
            event(**self.update)
        once: dict[str, Any] = {**PRIVATE, "trigger_mode": "once"}
        given, count = [self.license, *self._inputs], len(self._outputs)
        self.start.click(guarded(self.export, count), given, self._outputs, **once)
        self.stop.click(guarded(self.request_stop, count), self._inputs, self._outputs, **once)

    def export(self, license: str, name: str, *columns: str) -> list[Any]:
        """Start the export and follow it."""
        reference, kind = version_of(columns, self.versions)
        if kind not in EXPORTED:
            raise UserError("choose a version first: a base is not exported")
        self.exports.start(reference, name, (license or "").strip() if name == SPACE else "")
        return self.show(name, *columns)

    def request_stop(self, name: str, *columns: str) -> list[Any]:
        """Stop the export; it shows as stopped once it has."""
        self.exports.stop(version_of(columns, self.versions)[0], name)
        return self.show(name, *columns)

    def show(self, name: str, *columns: str) -> list[Any]:
        """The version and the format as they are now; hidden where the version has no weights to export."""
        reference, kind = version_of(columns, self.versions)
        if kind not in EXPORTED:
            return [gr.skip(), gr.Accordion(visible=False), *[gr.skip()] * 5, gr.Timer(active=False)]
        offered = [each for each in OFFERED if each != "adapter" or kind != "full"]
        name = name if name in offered else offered[0]
        found = self.exports.find(reference, name)
        is_running = found.state == "running"
        return [
            gr.skip(),
            gr.Accordion(visible=True),
            gr.Dropdown(choices=[(f"{each}: {OFFERED[each][2]}", each) for each in offered], value=name),
            gr.Textbox(visible=name == SPACE),
            gr.Button(interactive=found.state not in ("running", "finished")),
            gr.Button(interactive=is_running),
            view.card(found, OFFERED[name][2]),
            gr.Timer(active=is_running),
        ]
