"""The part of the version panel that shows metrics against the scale of the version's adapter."""

from typing import Any

import gradio as gr

from data.errors import UserError
from demo.columns import version_of
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.scale_curves import ScaleMeasurements
from demo.version_cache import VersionCache
from demo.view import scale_curves as view

PERIOD_S = 2.0
#: Kinds of versions that are adapters, but for a dpo with whole weights, which the step refuses.
ADAPTERS = ("lora", "dpo")


class ScalesBox:
    """Lays the panel out, folded, and connects it; the version is that of the rightmost column that is no base."""

    def __init__(
        self,
        measurements: ScaleMeasurements,
        versions: VersionCache,
        columns: list[gr.Dropdown],
        notice: gr.HTML,
    ) -> None:
        self.measurements, self.versions, self.columns = measurements, versions, columns
        self.notice = notice

    def lay_out(self) -> None:
        """Make the controls."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 125}
        with gr.Accordion("Metrics by the adapter's scale", open=False, visible=False, elem_id="by-scale") as self.box:
            with gr.Row(elem_classes="parley-again"):
                self.start = gr.Button("Measure", variant="primary", elem_id="scales-start", **small)
                self.stop = gr.Button("Stop", elem_id="scales-stop", interactive=False, **small)
            self.card = gr.HTML(elem_id="scales-card", padding=False)
        self.timer = gr.Timer(PERIOD_S, active=False)
        for event in (self.box.expand, self.timer.tick):
            event(**self.update(True))
        once: dict[str, Any] = {**PRIVATE, "trigger_mode": "once"}
        for button, work in ((self.start, self.measure), (self.stop, self.request_stop)):
            button.click(guarded(work, len(self._outputs)), self.columns, self._outputs, **once)

    @property
    def _outputs(self) -> list[Any]:
        return [self.notice, self.box, self.start, self.stop, self.card, self.timer]

    def update(self, is_open: bool) -> dict[str, Any]:
        """The event that shows the version that the columns hold now; closed, only whether it can be measured."""
        work = self.show if is_open else self.close
        return {
            "fn": guarded(work, len(self._outputs)), "inputs": self.columns, "outputs": self._outputs, **PRIVATE,
        }  # fmt: skip

    def measure(self, *columns: str) -> list[Any]:
        """Start the measurement and follow it."""
        reference, kind = version_of(columns, self.versions)
        if kind not in ADAPTERS:
            raise UserError("choose a version with an adapter first")
        self.measurements.start(reference)
        return self.show(*columns)

    def request_stop(self, *columns: str) -> list[Any]:
        """Stop the measurement; it shows as stopped once it has."""
        self.measurements.stop(version_of(columns, self.versions)[0])
        return self.show(*columns)

    def close(self, *columns: str) -> list[Any]:
        """Fold the panel: another version was chosen, whose curves are fetched when it is opened."""
        can = version_of(columns, self.versions)[1] in ADAPTERS
        return [gr.skip(), gr.Accordion(open=False, visible=can), gr.skip(), gr.skip(), "", gr.Timer(active=False)]

    def show(self, *columns: str) -> list[Any]:
        """The version's curves, or how far their measurement is."""
        reference, kind = version_of(columns, self.versions)
        if kind not in ADAPTERS:
            return self.close(*columns)
        found = self.measurements.find(reference)
        is_running = found.state == "running"
        return [
            gr.skip(),
            gr.skip(),
            gr.Button("Measure again" if found.record else "Measure", interactive=not is_running),
            gr.Button(interactive=is_running),
            view.card(found),
            gr.Timer(active=is_running),
        ]
