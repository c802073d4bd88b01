"""The tab Runs: the newest runs with verdict, curve and primary metric, and two of them side by side."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from demo import runs
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.training import Trainings
from demo.version_cache import VersionCache
from demo.view import runs as view
from demo.view import training as training_view

PERIOD_S = 4.0


class RunsTab:
    """Lays the tab out and connects it.

    Args:
        trainings: None on a shared page, which does not know what goes on on this machine.
        open_pair: ``open_pair(event, field)`` opens the two versions that ``field`` names, after ``event``.
    """

    def __init__(
        self,
        trainings: Trainings | None,
        versions: VersionCache,
        notice: gr.HTML,
        open_pair: Callable[..., None],
    ) -> None:
        self.trainings, self.versions, self.notice = trainings, versions, notice
        self.open_pair = open_pair

    def lay_out(self, tab: gr.Tab) -> None:
        """Make the controls."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 110}
        with gr.Row(elem_classes="parley-again parley-live-row"):
            self.text = gr.Textbox(label="search", placeholder="name, data, base, verdict, version", scale=1,
                                   min_width=200, elem_id="runs-search")  # fmt: skip
            self.again = gr.Button("List again", elem_id="runs-again", **small)
            self.compare = gr.Button("Compare two", elem_id="runs-compare", **small)
        self.both = gr.HTML(elem_id="runs-both", padding=False)
        self.list = gr.HTML(elem_id="runs-list", padding=False)
        self.chosen = gr.Textbox(visible="hidden", show_label=False, elem_id="runs-chosen")
        self.pair = gr.Textbox(visible="hidden", show_label=False, elem_id="runs-pair")
        self.open = gr.Button("Open", visible="hidden", elem_id="runs-open")
        self.run = gr.Textbox(visible="hidden", show_label=False, elem_id="runs-run")
        self.more = gr.Button("Answers", visible="hidden", elem_id="runs-more")
        self.timer = gr.Timer(PERIOD_S, active=False)
        self._connect(tab)

    def _connect(self, tab: gr.Tab) -> None:
        given, outs = [self.text, self.chosen], [self.notice, self.list, self.timer]
        keep: dict[str, Any] = {"js": "(text) => [text, parley.runs()]", **PRIVATE}
        events = [tab.select, self.again.click, self.text.submit]
        gr.on(events, guarded(self.show, len(outs)), given, outs, **keep)
        self.timer.tick(guarded(self.show, len(outs)), given, outs, **keep)
        self.compare.click(
            guarded(self.side_by_side, 2),
            self.chosen,
            [self.notice, self.both],
            js="() => parley.runs()",
            **PRIVATE,
        )
        chosen = self.more.click(None, None, self.run, js="() => parley.run", api_visibility="private")
        chosen.then(guarded(self.answers, 2), self.run, [self.notice, self.both], **PRIVATE)
        opened = self.open.click(None, None, self.pair, js="() => parley.pair", api_visibility="private")
        self.open_pair(opened, self.pair)

    def show(self, text: str, chosen: str) -> list[Any]:
        """The list; it is fetched again while a run goes on."""
        found = runs.find(text or "", self.trainings)
        live = any(row.progress for row in found.rows)
        return ["", view.listed(found, set((chosen or "").split())), gr.Timer(active=live)]

    def answers(self, run_id: str) -> list[Any]:
        """The chosen run alone: its state, curve, and answers to sample prompts at each evaluation."""
        return ["", training_view.live(*runs.one(run_id or "", self.trainings))]

    def side_by_side(self, chosen: str) -> list[Any]:
        """The two chosen runs beside each other."""
        return ["", view.compared(*runs.pair(chosen or "", self.trainings), self.versions.answering_ui())]
