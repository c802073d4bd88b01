"""The Gradio page: its layout, and which handler of ``demo.events`` each control calls."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from demo import api, classifier_box
from demo.columns import resized_by, scales_of
from demo.comparisons import Comparisons
from demo.conversations_bar import ConversationsBar
from demo.errors import guarded
from demo.events import EventHandlers
from demo.export_box import ExportBox
from demo.exports import Exports
from demo.held_out_tab import HeldOutTab
from demo.limits import HIGHEST_SEED
from demo.listeners import PRIVATE
from demo.picker import Picker
from demo.runs_tab import RunsTab
from demo.samples import COUNTS
from demo.scale_curves import ScaleMeasurements
from demo.scales_box import ScalesBox
from demo.session import ChatSessions
from demo.token_view import TokenView
from demo.training import Trainings
from demo.training_tab import TrainingTab
from demo.version_cache import VersionCache
from demo.view import render
from demo.vote_events import VoteEvents
from demo.votes_training import VotesTraining

HERE = Path(__file__).parent
STYLES, SCRIPT = (HERE / "style.css", HERE / "page.css"), HERE / "page.js"
MODEL = "model"  # the queue of all events that need the models; they run one at a time
QUEUE: dict[str, Any] = {"concurrency_id": MODEL, "concurrency_limit": 1}
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.cyan,
    neutral_hue=gr.themes.colors.slate,
    spacing_size=gr.themes.sizes.spacing_sm,
    radius_size=gr.themes.sizes.radius_md,
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    button_primary_background_fill="#0b7285",
    button_primary_background_fill_hover="#095c6b",
    button_primary_background_fill_dark="#0f7f93",
    button_primary_background_fill_hover_dark="#0b7285",
    button_primary_text_color="#ffffff",
    slider_color="#0b7285",
    slider_color_dark="#5cc8d8",
    body_background_fill="#fbfcfd",
    body_background_fill_dark="#0d141a",
)
VOTES = {"left": "◀ left", "tie": "tie", "both_bad": "both bad", "right": "right ▶"}
HELD_OUT = "held-out prompts of this version"


def build(sessions: ChatSessions, versions: VersionCache, trainings: Trainings | None = None) -> gr.Blocks:
    """The page over ``sessions`` (conversations) and ``versions`` (what the registry has).

    ``trainings``: with it visitors can train and export; None leaves that out.
    """
    with gr.Blocks(title="Parley", analytics_enabled=False, fill_width=True) as blocks:
        api.add(sessions, versions, MODEL)  # first: a name that one of the page's events has taken gets a number
        _Page(sessions, versions, trainings).lay_out(blocks)
    return blocks


class _Page:
    def __init__(self, sessions: ChatSessions, versions: VersionCache, trainings: Trainings | None) -> None:
        self.config, self.do = sessions.config, EventHandlers(sessions, versions)
        self.trainings, self.all_votes = trainings, VoteEvents(sessions)
        self.updates: list[dict[str, Any]] = []  # events that bring the boxes beside the chat up to date

    def lay_out(self, blocks: gr.Blocks) -> None:
        """Make all controls and connect them to their handlers."""
        with gr.Row(elem_classes="parley-top"):
            gr.HTML(
                '<h1 class="parley-title">Parley <small>base and tuned model side by side</small></h1>', padding=False
            )
            self.refresh = gr.Button("Refresh", size="sm", min_width=80, scale=0, elem_id="refresh")
            self.share = gr.Button("Share", size="sm", min_width=80, scale=0, elem_id="share")
        self.notice = gr.HTML(elem_id="notice", padding=False)
        self.link = gr.Textbox(label="Link to this comparison", visible=False, interactive=False, buttons=["copy"],
                               elem_id="link")  # fmt: skip
        self.file = gr.Textbox(visible="hidden", elem_id="file", show_label=False)
        self.saved = ConversationsBar(self.do) if self.do.sessions.saved else None
        with gr.Tabs(elem_id="tabs") as self.tabs:
            with gr.Tab("Chat", id="chat"):
                self._chat_tab()
            with gr.Tab("Held-out", id="held-out") as tab:
                comparisons = self.trainings and Comparisons(self.trainings.outputs)
                HeldOutTab(self.columns, self.notice, comparisons).lay_out(tab, self._download)
            with gr.Tab("Votes", id="votes") as votes:
                self._votes_tab(votes)
            with gr.Tab("Runs", id="runs") as tab:
                RunsTab(self.trainings, self.do.versions, self.notice, self._open_pair).lay_out(tab)
            if self.trainings:
                with gr.Tab("Train", id="train") as train:
                    tab = TrainingTab(self.trainings, self.do.versions, self.notice, self._open_pair)
                    tab.lay_out(train)
        self._connect(blocks, votes)

    def _chat_tab(self) -> None:
        with gr.Row(elem_classes="parley-choose"):
            self.model = gr.Dropdown([], label="model", min_width=130, scale=1, elem_id="model")
            self.columns = [
                gr.Dropdown([], label=name.lower(), allow_custom_value=True, min_width=170, scale=3, visible=i < 2,
                            elem_id=f"column-{i}")
                for i, name in enumerate(render.NAMES)
            ]  # fmt: skip
            self.more = gr.Button("+ column", size="sm", min_width=84, scale=0, elem_id="more")
            self.fewer = gr.Button("– column", size="sm", min_width=84, scale=0, visible=False, elem_id="fewer")
            self.dose = gr.Button("Scales", size="sm", min_width=84, scale=0, elem_id="scales")
            self.blind = gr.Checkbox(False, label="blind", min_width=80, scale=0, elem_id="blind")
        self.picker = Picker(self.columns, self.do.versions, self.notice)
        with gr.Row(elem_classes="parley-main"):
            with gr.Column(scale=5, min_width=320):
                self.panes = gr.HTML(elem_id="panes", padding=False)
                self._below()
            with gr.Column(scale=2, min_width=300, elem_classes="parley-aside"):
                self.quality = gr.HTML(elem_id="quality", padding=False)
                self.curve = gr.HTML(elem_id="curve", padding=False)
                self.step = gr.Slider(0, 1, step=1, label="answer with the weights of step", visible=False,
                                      elem_id="step", buttons=[])  # fmt: skip
                self.origin = gr.HTML(elem_id="origin", padding=False)
                self.report = gr.Button("Report of its run, HTML", size="sm", visible=False, elem_id="report")
                self._boxes()
                with gr.Accordion("Model card", open=False, visible=False) as self.card_box:
                    self.card = gr.Markdown(elem_id="card")

    def _boxes(self) -> None:
        """The boxes that start processes, which a shared page does not."""
        if self.trainings is None:
            return
        outputs, given = self.trainings.outputs, (self.do.versions, self.columns, self.notice)
        scales, exports = ScalesBox(ScaleMeasurements(outputs), *given), ExportBox(Exports(outputs), *given)
        scales.lay_out()
        exports.lay_out()
        self.updates = [scales.update(False), exports.update]

    def _below(self) -> None:
        """What stands under the panes: votes, where the answers differ, prompts, settings, and the composer last."""
        small: dict[str, Any] = {"size": "sm", "min_width": 70, "scale": 0}
        with gr.Row(elem_classes="parley-again"):
            gr.HTML('<span class="parley-soft">Which is better?</span>', padding=False, elem_classes="parley-better")
            self.votes = {
                choice: gr.Button(
                    label, interactive=False, elem_id=f"vote-{choice}", elem_classes="parley-vote", **small
                )
                for choice, label in VOTES.items()
            }
        self.divergences = gr.HTML(elem_id="divergences", padding=False)
        self.tokens = TokenView(self.do.sessions)
        self.classifier = classifier_box.add(self.columns, self.notice, self.config)
        self.examples = gr.Dataset(components=["textbox"], samples=[], label=HELD_OUT, visible=False,
                                   elem_id="examples", samples_per_page=8)  # fmt: skip
        with gr.Accordion("Settings and files", open=True, elem_id="settings"):
            self._settings()
        with gr.Column(elem_classes="parley-composer", elem_id="composer"):
            self._composer(small)

    def _composer(self, small: dict[str, Any]) -> None:
        with gr.Row(elem_classes="parley-input"):
            self.prompt = gr.Textbox(placeholder="Message to all columns", show_label=False, lines=1, max_lines=6,
                                     scale=6, min_width=200, autofocus=True, elem_id="prompt",
                                     container=False)  # fmt: skip
            self.send = gr.Button("Send", variant="primary", min_width=70, scale=0, elem_id="send")
            self.stop = gr.Button("Stop", min_width=70, scale=0, elem_id="stop")
        with gr.Row(elem_classes="parley-again"):
            self.again = gr.Button("Again", elem_id="again", **small)
            self.edit = gr.Button("Edit", elem_id="edit", **small)
            self.clear = gr.Button("New chat", elem_id="clear", **small)
            self.samples = gr.Radio([*COUNTS], value=next(iter(COUNTS)), label="answers", container=False, scale=0,
                                    min_width=130, elem_id="samples", show_label=False)  # fmt: skip
            most = self.config.prompt_chars
            gr.HTML(f'<span class="parley-count" data-most="{most}" role="status"></span>', padding=False)

    def _settings(self) -> None:
        with gr.Row(elem_classes="parley-settings-row"):
            wide: dict[str, Any] = {"min_width": 110}
            self.settings = [
                gr.Slider(0, 2, 0.7, step=0.05, label="temperature", elem_id="temperature", **wide),
                gr.Slider(0, 1, 1.0, step=0.05, label="top p", elem_id="top-p", **wide),
                gr.Slider(1, self.config.new_tokens, min(60, self.config.new_tokens), step=1, label="length",
                          elem_id="length", **wide),
                gr.Number(7, label="seed", precision=0, minimum=0, maximum=HIGHEST_SEED, elem_id="seed",
                          **wide),
            ]  # fmt: skip
        self.system = gr.Textbox(label="system prompt", lines=1, max_lines=4, elem_id="system",
                                 placeholder="empty: none is sent")  # fmt: skip
        with gr.Row(elem_classes="parley-tools"):
            self.check = gr.Button("Self-check: left against itself", size="sm", elem_id="self-check")
            self.as_html = gr.Button("Transcript, HTML", size="sm", elem_id="as-html")
            self.as_json = gr.Button("Transcript, JSON", size="sm", elem_id="as-json")
            self.open_file = gr.Button("Open a transcript", size="sm", elem_id="open-transcript")

    def _votes_tab(self, votes: gr.Tab) -> None:
        with gr.Row():
            small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 130}
            self.export = gr.Button("Save preference pairs (JSONL)", elem_id="export", **{**small, "min_width": 220})
            self.recount = gr.Button("Count again", elem_id="recount", **small)
        self.table = gr.HTML(elem_id="standings", padding=False)
        if self.trainings:
            given = (self.trainings, self.do.versions, self.notice, self.all_votes.all_votes, self._open_pair)
            VotesTraining(*given).lay_out([votes.select, self.recount.click])

    def _connect(self, blocks: gr.Blocks, votes: gr.Tab) -> None:
        self._connect_versions(blocks)
        self._connect_chat()
        self.share.click(guarded(self.do.share_link, 2), self._send_inputs, [self.notice, self.link], **PRIVATE).then(
            None, self.link, self.link, js="(query) => parley.link(query)", api_visibility="private"
        )
        for button, kind in ((self.as_html, "html"), (self.as_json, "json")):
            self._download(button, guarded(self.do.transcript(kind), 2))
        self._download(self.export, guarded(self.all_votes.preference_pairs, 2))
        self._download(self.report, guarded(self.do.report, 2), self.columns)
        standings = guarded(self.all_votes.standings, 2)
        gr.on([votes.select, self.recount.click], standings, None, [self.notice, self.table], **PRIVATE)

    def _connect_versions(self, blocks: gr.Blocks) -> None:
        chosen, buttons = [self.model, *self.columns], [self.more, self.fewer]
        version_outs = [self.notice, *chosen, *buttons]
        shown_outs = [self.blind, *self.settings, self.system]
        opened = blocks.load(self.do.open, None, [*version_outs, self.prompt, *shown_outs], **PRIVATE)
        self._redraw(opened)
        self.refresh.click(self.do.refresh, chosen, version_outs, **PRIVATE).then(**self._describe)
        self._redraw(self.model.input(self.do.pick_model, self.model, self.columns, **PRIVATE))
        for column in self.columns:
            self._redraw(column.input(lambda: "", None, self.notice, **PRIVATE))
        for button, change in ((self.more, 1), (self.fewer, -1)):
            resize = resized_by(change, self.do.versions)
            self._redraw(button.click(resize, self.columns, [*self.columns, *buttons], **PRIVATE))
        scaled = [self.notice, *self.columns, *buttons]
        self._redraw(
            self.dose.click(guarded(scales_of(self.config.panes), len(scaled)), self.columns, scaled, **PRIVATE)
        )
        self.picker.connect(self._redraw)
        self.blind.input(**self._show)
        last: dict[str, Any] = {**PRIVATE, "trigger_mode": "always_last"}  # of several keys, the last one counts
        self._redraw(self.step.release(self.do.select_step, [self.step, *self.columns], [*self.columns], **last))
        load_file = self.open_file.click(None, None, self.file, js="() => parley.open()", api_visibility="private")
        outs = [self.notice, self.file, *self.columns, *shown_outs]
        self._redraw(load_file.then(guarded(self.do.open_transcript, len(outs)), self.file, outs, **PRIVATE))
        if self.saved:
            self.saved.connect_list(opened, [self.notice, *self.columns, *shown_outs], self._redraw)

    def _connect_chat(self) -> None:
        votes = [*self.votes.values()]
        panes_outs = [self.notice, self.panes, self.divergences, *votes]
        send_outs = [self.notice, self.prompt, *panes_outs[1:]]
        once: dict[str, Any] = {**PRIVATE, **QUEUE, "trigger_mode": "once"}
        send, sampled = guarded(self.do.send, len(send_outs)), [self.samples, *self._controls]
        again_outs = [*send_outs, self.settings[3]]
        events = [
            gr.on([self.send.click, self.prompt.submit], send, [self.prompt, *sampled], send_outs, **once),
            self.again.click(guarded(self.do.regenerate, len(again_outs)), sampled, again_outs, **once),
        ]
        self.stop.click(self.do.stop, None, None, queue=False, **PRIVATE)
        self.edit.click(guarded(self.do.edit, len(send_outs)), None, send_outs, **PRIVATE)
        events.append(self.clear.click(self.do.clear, None, self.notice, **PRIVATE).then(**self._show))
        self.tokens.connect(self.notice, self.panes, events)
        if self.saved:
            self.saved.connect_changes(events)
        self.examples.click(lambda sample: sample[0], self.examples, self.prompt, **PRIVATE)
        checked = [self.notice, self.divergences]
        self.check.click(guarded(self.do.self_check, 2), self._controls, checked, **PRIVATE, **QUEUE)
        for choice, button in self.votes.items():
            button.click(self.do.vote(choice), None, [*panes_outs, *self.columns[:2]], **PRIVATE)

    @property
    def _controls(self) -> list[Component]:
        """Inputs of the events that read columns, blind mode and settings."""
        return [*self.columns, self.blind, *self.settings, self.system]

    @property
    def _send_inputs(self) -> list[Component]:
        return [self.prompt, *self._controls]

    @property
    def _show(self) -> dict[str, Any]:
        """The event that draws the panes for the versions that are chosen now."""
        outputs = [self.notice, self.panes, self.divergences, *self.votes.values()]
        return {
            "fn": guarded(self.do.show, len(outputs)),
            "inputs": self._controls,
            "outputs": outputs,
            **PRIVATE,
            **QUEUE,
        }

    @property
    def _describe(self) -> dict[str, Any]:
        """The event that fills the panel beside the conversation."""
        card = [self.card_box, self.card]
        outputs = [self.quality, self.curve, self.step, self.origin, *card, self.examples, self.report, self.classifier]
        return {"fn": guarded(self.do.describe, len(outputs)), "inputs": self.columns, "outputs": outputs, **PRIVATE}

    def _redraw(self, event: Any) -> None:
        """After ``event``, draw the panes and the panel anew."""
        event.then(**self._show)
        event.then(**self._describe)
        for update in self.updates:
            event.then(**update)

    def _open_pair(self, event: Any, pair: gr.Textbox, blind: bool = False) -> None:
        """After ``event``, open the two versions that ``pair`` names in the chat."""
        outs = [self.notice, self.model, *self.columns, self.more, self.fewer, self.blind, self.tabs]
        opened = guarded(self.do.open_pair(blind), len(outs))
        self._redraw(event.then(opened, [pair, *self.columns], outs, **PRIVATE))

    def _download(self, button: gr.Button, make: Callable[..., Any], inputs: Any = None) -> None:
        """The server sends the file's text and the browser saves it, so that no file of the server is ever served."""
        button.click(make, inputs, [self.notice, self.file], **PRIVATE).then(
            None, self.file, self.file, js="(file) => parley.save(file)", api_visibility="private"
        )
