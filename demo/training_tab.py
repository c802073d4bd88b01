"""The tab Train: rows are checked, shown with their trained tokens, and trained on in a process of its own."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from data.errors import ConfigError, UserError
from demo.errors import guarded
from demo.listeners import PRIVATE
from demo.live_training import LiveTraining
from demo.training import ENTRIES, Trainings
from demo.version_cache import VersionCache
from demo.view import training as view
from demo.view.render import can_chat

#: Entry point -> data sets that are there without a file, and the name under which its versions are registered.
OWN = {
    "pirate": (("clean", "tiny", "noisy"), "pirate"),
    "noisy": (("reviews", "imdb", "truthfulqa"), "noisy"),
    "dpo": (("terse", "votes"), "dpo"),
}
BASES = ("auto", "smollm2", "bundled")
SAMPLE_PROMPTS = 3
DROP = (
    '<div class="parley-drop"><strong>Drop a file of rows here</strong>'
    '<span class="parley-soft">JSON, JSONL, CSV, TSV or Parquet, up to 16 MB; it stays on this computer</span></div>'
)


class TrainingTab:
    """Lays the tab out and connects it.

    Args:
        open_pair: ``open_pair(event, field)`` opens the two versions that ``field`` names, after ``event``.
    """

    def __init__(
        self,
        trainings: Trainings,
        versions: VersionCache,
        notice: gr.HTML,
        open_pair: Callable[[Any, gr.Textbox], None],
    ) -> None:
        self.trainings, self.versions, self.notice = trainings, versions, notice
        self.open_pair = open_pair
        self.live = LiveTraining(trainings, notice, "live")

    def lay_out(self, tab: gr.Tab) -> None:
        """Make the controls."""
        with gr.Row(elem_classes="parley-main"):
            with gr.Column(scale=3, min_width=320):
                self._rows()
                self._settings()
                with gr.Row(elem_classes="parley-again"):
                    small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 110}
                    self.check = gr.Button("Check the rows", variant="primary", elem_id="train-check", **small)
                    self.start = gr.Button("Start", interactive=False, elem_id="train-start", **small)
                self.checked = gr.HTML(elem_id="train-checked", padding=False)
            with gr.Column(scale=3, min_width=320):
                self.live.lay_out()
        self._connect(tab)

    def _rows(self) -> None:
        kinds = [(text, entry) for entry, text in ENTRIES.items()]
        self.entry = gr.Radio(kinds, value="pirate", label="learn from", elem_id="train-entry")
        with gr.Row(elem_classes="parley-drop-row"):
            gr.HTML(DROP, elem_id="train-drop", padding=False)
            self.choose = gr.Button("Choose a file", size="sm", scale=0, min_width=120, elem_id="train-choose")
        self.given = gr.Textbox(visible="hidden", show_label=False, elem_id="train-file")
        self.dataset = gr.Dropdown(list(OWN["pirate"][0]), value="clean", label="data: a set, or the path of a file",
                                   allow_custom_value=True, elem_id="train-dataset")  # fmt: skip

    def _settings(self) -> None:
        wide: dict[str, Any] = {"min_width": 120}
        with gr.Row(elem_classes="parley-settings-row"):
            self.base = gr.Dropdown(list(BASES), value="auto", label="base model", allow_custom_value=True,
                                    elem_id="train-base", **wide)  # fmt: skip
            self.begin = gr.Dropdown([], label="start from a version", visible=False, allow_custom_value=True,
                                     elem_id="train-begin", **wide)  # fmt: skip
            self.learner = gr.Dropdown(["lora", "full", "tfidf"], value="lora", label="learner", visible=False,
                                       elem_id="train-learner", **wide)  # fmt: skip
            self.rate = gr.Number(0.0, label="share of labels made wrong", minimum=0, maximum=1, step=0.05,
                                  visible=False, elem_id="train-rate", **wide)  # fmt: skip
            self.epochs = gr.Number(0, label="epochs (0: auto)", precision=0, minimum=0,
                                    elem_id="train-epochs", **wide)  # fmt: skip
            self.name = gr.Textbox("pirate", label="register as", elem_id="train-name", **wide)
        self.more = gr.Textbox(label="other settings", placeholder="rank=8 lr=0.001 seed=3", elem_id="train-more")

    @property
    def _given(self) -> list[Any]:
        return [self.entry, self.dataset, self.base, self.begin, self.learner, self.rate, self.epochs, self.name,
                self.more]  # fmt: skip

    def _connect(self, tab: gr.Tab) -> None:
        self.live.connect([tab.select])
        tab.select(guarded(self._starts, 2), None, [self.notice, self.begin], **PRIVATE)
        shown = [self.dataset, self.begin, self.learner, self.rate, self.epochs, self.base, self.name]
        self.entry.input(self._shown_for, self.entry, shown, **PRIVATE)
        for changed in (self.entry.input, *(each.change for each in self._given[1:])):
            changed(lambda: gr.Button(interactive=False), None, self.start, **PRIVATE)
        checked = [self.notice, self.checked, self.start]
        taken = self.choose.click(None, None, self.given, js="() => parley.rows()", api_visibility="private").then(
            guarded(self._keep, 3), self.given, [self.notice, self.given, self.dataset], **PRIVATE
        )
        once: dict[str, Any] = {**PRIVATE, "concurrency_limit": 1, "trigger_mode": "once"}
        taken.success(guarded(self._check, 3), self._given, checked, **once)
        self.check.click(guarded(self._check, 3), self._given, checked, **once)
        self.start.click(guarded(self._start, len(self.live.outputs)), self._given, self.live.outputs, **once)
        self.open_pair(self.live.opened, self.live.pair)

    @staticmethod
    def _shown_for(entry: str) -> list[Any]:
        """The fields that the entry point has."""
        names, registered = OWN[entry]
        is_noisy = entry == "noisy"
        return [
            gr.Dropdown(choices=list(names), value=names[0]),
            gr.Dropdown(visible=entry == "dpo", value=None),
            gr.Dropdown(visible=is_noisy),
            gr.Number(visible=is_noisy),
            gr.Number(value=3 if is_noisy else 0, label="epochs" if is_noisy else "epochs (0: auto)"),
            gr.Dropdown(value="auto"),
            registered,
        ]

    def _starts(self) -> list[Any]:
        """Versions that training on preferences can start from."""
        entries = self.versions.entries or self.versions.refresh()
        return ["", gr.Dropdown(choices=starts(entries))]

    def _keep(self, given: str) -> list[Any]:
        """Keep the file that was chosen or dropped, and name it as the data."""
        if not given:
            return [gr.skip(), gr.skip(), gr.skip()]
        file = json.loads(given)
        if file.get("problem"):
            raise UserError(file["problem"])
        return ["", "", str(self.trainings.keep_file(str(file["name"]), str(file["content"])))]

    def _check(self, *given: Any) -> Iterator[list[Any]]:
        """Check the rows; what is known is shown as it comes, and Start becomes possible where nothing is wrong."""
        events: list[dict[str, Any]] = []
        yield ["", view.checked(events, False), gr.Button(interactive=False)]
        try:
            for event in self.trainings.preview(given[0], settings_of(*given)):
                events.append(event)
                yield [gr.skip(), view.checked(events, False), gr.skip()]
        except UserError:
            yield [gr.skip(), "", gr.skip()]
            raise
        is_good = all(event["kind"] != "problems" for event in events)
        yield [gr.skip(), view.checked(events, True), gr.Button(interactive=is_good)]

    def _start(self, *given: Any) -> list[Any]:
        """Start the training and follow it."""
        return self.live.show(self.trainings.start(given[0], settings_of(*given)))


def starts(entries: Any) -> list[tuple[str, str]]:
    """(label, reference) of the versions whose weights can be trained further."""
    names = [each.version.reference for each in entries if can_chat(each) and each.kind != "openai"]
    return [(name, name) for name in names]


def settings_of(
    entry: str,
    dataset: str,
    base: str,
    begin: str,
    learner: str,
    rate: float | None,
    epochs: float | None,
    name: str,
    more: str,
) -> dict[str, Any]:
    """The parameters of the entry point that the fields of the tab stand for; what is a default is left out.

    Raises:
        UserError: there are no data, or an item of ``more`` is no name=value.
    """
    if not (dataset or "").strip():
        raise UserError("choose a file first, or write the name of a data set")
    found: dict[str, Any] = {"dataset": dataset.strip(), "register_as": (name or OWN[entry][1]).strip()}
    found |= {"epochs": int(epochs)} if epochs else {}
    if entry == "dpo" and begin:
        found["start"] = begin
    elif base and base != "auto":
        found["base_model"] = base
    if entry == "noisy":
        found |= {"rate": float(rate or 0), "learner": learner}
    else:
        found["sample_prompts"] = SAMPLE_PROMPTS
    for item in (more or "").replace(",", " ").split():
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"other settings: {item!r} is no name=value")
        found[key.removeprefix("--")] = value
    return found
