"""The tab Held-out: every held-out row of the two versions that stand left and right, with scores and differences."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from data.errors import UserError
from demo import held_out
from demo.comparisons import Comparisons
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.view import held_out as view
from demo.view.details import notice as line
from demo.view.html import file_to_save, without_folders

ROWS = 20
ALL = "all"
EMPTY = """<p class="parley-hint">Every held-out row of the two models that are chosen left and right on the tab Chat. A
version next to its base is there at once; two versions are compared first, which takes as long as their answers.</p>"""
PERIOD_S = 1.0
FLAGS = ("echo", "loop", "cut", "copied", "invalid", "wrong")


class HeldOutTab:
    """Lays the tab out and connects it; without ``comparisons`` visitors may start none."""

    def __init__(self, columns: Sequence[gr.Dropdown], notice: gr.HTML, comparisons: Comparisons | None) -> None:
        self.columns, self.notice, self.comparisons = list(columns[:2]), notice, comparisons

    def lay_out(self, tab: gr.Tab, download: Callable[..., None]) -> None:
        """Make the controls of ``tab``; ``download(button, make, inputs)`` saves a file in the browser."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 90}
        with gr.Row(elem_classes="parley-again"):
            self.show = gr.Button(
                "Show left and right", variant="primary", elem_id="held-out-show", **{**small, "min_width": 160}
            )
            self.stop = gr.Button("Stop", visible=False, elem_id="held-out-stop", **small)
            self.csv = gr.Button("Save as CSV", elem_id="held-out-csv", **small)
        self.summary = gr.HTML(EMPTY, elem_id="held-out-summary", padding=False)
        with gr.Row(elem_classes="parley-settings-row"):
            wide: dict[str, Any] = {"min_width": 130}
            self.outcome = gr.Radio(
                [ALL, *held_out.OUTCOMES], value=ALL, label="rows", elem_id="held-out-outcome", **wide
            )
            self.flag = gr.Dropdown([ALL, *FLAGS], value=ALL, label="flag", elem_id="held-out-flag", **wide)
            self.sort = gr.Dropdown(
                list(held_out.SORTS), value="row", label="order by", elem_id="held-out-sort", **wide
            )
            self.text = gr.Textbox(label="search", elem_id="held-out-search", **wide)
            self.page = gr.Number(1, label="page", precision=0, minimum=1, elem_id="held-out-page", **wide)
        self.rows = gr.HTML(elem_id="held-out-rows", padding=False)
        self.shown = gr.State(("", ""))  # whose rows stand here, whatever the columns hold by now
        self.timer = gr.Timer(PERIOD_S, active=False)
        self._connect(tab, download)

    def _connect(self, tab: gr.Tab, download: Callable[..., None]) -> None:
        filters = [self.outcome, self.flag, self.sort, self.text, self.page]
        outs = [self.notice, self.summary, self.rows]
        states = [*outs, self.shown, self.stop, self.timer]
        for event, work in ((self.show.click, self.compare), (tab.select, self.look)):
            event(guarded(work, len(states)), [*self.columns, *filters], states, **PRIVATE)
        self.timer.tick(guarded(self.follow, len(states)), [self.shown, *filters], states, **PRIVATE)
        self.stop.click(guarded(self.request_stop, 1), self.shown, self.notice, **PRIVATE)
        changed = [self.outcome.input, self.flag.input, self.sort.input, self.text.submit, self.page.input]
        gr.on(changed, guarded(self.filtered, 3), [self.shown, *filters], outs, **PRIVATE)
        download(self.csv, guarded(self.as_csv, 2), self.shown)

    def compare(self, left: str, right: str, *filters: Any) -> list[Any]:
        """Show what a run keeps of the two, or let ``-e compare`` compute it, and follow that."""
        pair = left or "", right or ""
        found = held_out.find(*pair)
        if found:
            return self._found(found, *filters)
        if pair[0].endswith(":base"):
            raise UserError(f"the run of {right} keeps no report of its held-out rows; train it again")
        if self.comparisons is None:
            raise UserError("this comparison has yet to be computed, which a shared page does not do")
        self.comparisons.start(*pair)
        return self.follow(pair, *filters)

    def look(self, left: str, right: str, *filters: Any) -> list[Any]:
        """What is known of the two already, or how far their comparison is; nothing is computed."""
        pair = left or "", right or ""
        with suppress(UserError):  # two that can't be compared: an error only once somebody asks for them
            found = held_out.find_again(*pair)
            if found:
                return self._found(found, *filters)
        if self.comparisons and self.comparisons.running(*pair):
            return self.follow(pair, *filters)
        return [gr.skip(), EMPTY, "", *_ended(("", ""))]

    def follow(self, pair: tuple[str, str], *filters: Any) -> list[Any]:
        """How far the comparison of the two is, or its result once it has ended."""
        going_on = self.comparisons and self.comparisons.running(*pair)
        if going_on:
            return ["", view.waiting(pair, going_on), "", pair, gr.Button(visible=True), gr.Timer(active=True)]
        found = held_out.find(*pair)
        if found:
            return self._found(found, *filters)
        state, why = self.comparisons.outcome(*pair) if self.comparisons else ("failed", "")
        kind = "info" if state == "stopped" else "error"
        return [line(kind, without_folders(why)), EMPTY, "", *_ended(("", ""))]

    def request_stop(self, pair: tuple[str, str]) -> list[str]:
        """Stop the comparison; it shows as stopped once it has."""
        if self.comparisons:
            self.comparisons.stop(*pair)
        return [""]

    def filtered(self, pair: tuple[str, str], *filters: Any) -> list[Any]:
        """Of the rows that are shown, those that fit the filters."""
        found = held_out.find_again(*pair) if all(pair) else None
        if found is None:
            return [gr.skip()] * 3
        return ["", view.summary(found), self._page(found, *filters)]

    def as_csv(self, pair: tuple[str, str]) -> list[str]:
        """All rows that are shown, as a file."""
        found = held_out.find_again(*pair) if all(pair) else None
        if found is None:
            raise UserError("show the rows first")
        return ["", file_to_save("parley-held-out.csv", found.csv())]

    def _found(self, found: held_out.Comparison, *filters: Any) -> list[Any]:
        return ["", view.summary(found), self._page(found, *filters), *_ended(found.sides)]

    @staticmethod
    def _page(found: held_out.Comparison, outcome: str, flag: str, sort: str, text: str, page: float | None) -> str:
        chosen = held_out.select(
            found.rows, "" if outcome == ALL else outcome, text or "", "" if flag == ALL else flag, sort
        )
        last = max(1, -(-len(chosen) // ROWS))
        return view.rows(found, chosen, (min(last, max(1, int(page or 1))) - 1) * ROWS, ROWS)


def _ended(pair: tuple[str, str]) -> list[Any]:
    """Whose rows are shown, and the controls of a comparison that is under way, hidden."""
    return [pair, gr.Button(visible=False), gr.Timer(active=False)]
