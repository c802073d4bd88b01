"""The tab Held-out: every held-out row of the two versions that stand left and right, with scores and differences."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from data.errors import UserError
from demo import held_out
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.view import held_out as view
from demo.view.details import notice as line
from demo.view.html import file_to_save

ROWS = 20
ALL = "all"
EMPTY = """<p class="parley-hint">Every held-out row of the two models that are chosen left and right on the tab Chat. A
version next to its base is there at once; two versions are compared first, which takes as long as their answers.</p>"""
FLAGS = ("echo", "loop", "cut", "copied", "invalid", "wrong")


class HeldOutTab:
    """Lays the tab out and connects it; ``may_compute``: whether visitors may start a comparison."""

    def __init__(self, columns: Sequence[gr.Dropdown], notice: gr.HTML, may_compute: bool) -> None:
        self.columns, self.notice, self.may_compute = list(columns[:2]), notice, may_compute

    def lay_out(self, download: Callable[..., None]) -> None:
        """Make the controls; ``download(button, make, inputs)`` saves a file in the browser."""
        small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 90}
        with gr.Row(elem_classes="parley-again"):
            self.show = gr.Button(
                "Show left and right", variant="primary", elem_id="held-out-show", **{**small, "min_width": 160}
            )
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
        self._connect(download)

    def _connect(self, download: Callable[..., None]) -> None:
        filters = [self.outcome, self.flag, self.sort, self.text, self.page]
        given, outs = [*self.columns, *filters], [self.notice, self.summary, self.rows]
        self.show.click(guarded(self.compare, 3), given, outs, **PRIVATE, concurrency_limit=1)
        changed = [self.outcome.input, self.flag.input, self.sort.input, self.text.submit, self.page.input]
        gr.on(changed, guarded(self.filtered, 3), given, outs, **PRIVATE)
        download(self.csv, guarded(self.as_csv, 2), self.columns)

    def compare(self, left: str, right: str, *filters: Any) -> Iterator[list[Any]]:
        """Show what a run keeps of the two, or let ``-e compare`` compute it first."""
        found = held_out.find(left or "", right or "")
        if found is None and left.endswith(":base"):
            raise UserError(f"the run of {right} keeps no report of its held-out rows; train it again")
        if found is None and not self.may_compute:
            raise UserError("this comparison has yet to be computed, which a shared page does not do")
        if found is None:
            for printed in held_out.compute(left, right):
                yield [line("info", f"comparing: {printed}"), gr.skip(), gr.skip()]
            found = held_out.find(left, right)
        if found is None:
            raise UserError("the comparison keeps no rows")
        yield ["", view.summary(found), self._page(found, *filters)]

    def filtered(self, left: str, right: str, *filters: Any) -> list[Any]:
        """The rows that fit the filters, of what is known already."""
        found = held_out.find_again(left or "", right or "")
        if found is None:
            return [gr.skip()] * 3
        return ["", view.summary(found), self._page(found, *filters)]

    def as_csv(self, left: str, right: str) -> list[str]:
        """All rows as a file."""
        found = held_out.find_again(left or "", right or "")
        if found is None:
            raise UserError("show the rows first")
        return ["", file_to_save("parley-held-out.csv", found.csv())]

    @staticmethod
    def _page(found: held_out.Comparison, outcome: str, flag: str, sort: str, text: str, page: float | None) -> str:
        chosen = held_out.select(
            found.rows, "" if outcome == ALL else outcome, text or "", "" if flag == ALL else flag, sort
        )
        last = max(1, -(-len(chosen) // ROWS))
        return view.rows(found, chosen, (min(last, max(1, int(page or 1))) - 1) * ROWS, ROWS)
