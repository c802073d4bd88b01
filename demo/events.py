"""The handler of each control of the page. Arguments and results are Gradio's values, in the order of ``demo.app``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, get_args

import gradio as gr

from data.errors import UserError
from demo import transcript_html
from demo.behaviour import behaviour_of
from demo.columns import MOST_COLUMNS, column_buttons, columns_of, rightmost_version, step_slider
from demo.conversation import Conversation
from demo.errors import guarded, internal_error
from demo.kept import KeptConversations, session_of, settings_of
from demo.lazy import import_lock
from demo.samples import COUNTS
from demo.session import ChatSessions
from demo.share_links import from_query, to_query
from demo.version_cache import VersionCache
from demo.view import render
from demo.view.classifier import CLASSIFIER
from demo.view.details import empty_registry, notice
from demo.view.html import file_to_save
from demo.view.samples import summary
from inference.transcript import Exchange, Sampling
from registry.votes.votes import Choice as VoteChoice

VOTE_BUTTONS = len(get_args(VoteChoice))
SELF_CHECK_PROMPT = "Hello, how are you today?"


@dataclass(frozen=True)
class _Controls:
    """What the visitor has set: the columns' references, empty where none is chosen, blind mode, sampling, system."""

    columns: tuple[str, ...]
    blind: bool
    sampling: Sampling
    system: str


def _controls(values: Sequence[Any]) -> _Controls:
    """From the values of the columns, the blind checkbox and the settings; sliders may send whole numbers as floats."""
    *columns, blind = values[: MOST_COLUMNS + 1]
    *given, system = values[MOST_COLUMNS + 1 :]
    settings: list[Any] = [int(v) if isinstance(v, float) and v.is_integer() else v for v in given]
    return _Controls(tuple(columns), bool(blind), Sampling(*settings), system or "")


class EventHandlers:
    """The page's events over ``sessions`` (conversations) and ``versions`` (what the registry has)."""

    def __init__(self, sessions: ChatSessions, versions: VersionCache) -> None:
        self.sessions, self.versions = sessions, versions
        self.kept = KeptConversations(sessions)

    # Versions

    def open(self, request: gr.Request) -> list[Any]:
        """What the page shows when it is opened, by a link or without one."""
        query = dict(request.query_params)
        shared, problem = from_query(query, self.sessions.config), ""
        try:
            kept = self.kept.opened(session_of(request), str(query.get("conversation", "")))
            shared = kept and replace(kept, prompt=shared.prompt, notes=shared.notes) or shared
        except UserError as error:
            problem = render.error_notice(error)
        shown = self._version_updates("", shared.references)
        if shared.notes or problem:
            shown[0] = problem + "".join(render.notice("warn", note) for note in shared.notes)
        return [*shown, shared.prompt, *settings_of(shared)]

    def refresh(self, model: str, *columns: str) -> list[Any]:
        """Fetch the versions anew; what was chosen stays."""
        return self._version_updates(model, tuple(column or "" for column in columns))

    def open_pair(self, blind: bool) -> Callable[..., list[Any]]:
        """The handler that puts two versions, its first value as ``LEFT RIGHT``, into the columns of the chat."""

        def open_pair(request: gr.Request, pair: str, *columns: str) -> list[Any]:
            if not pair:
                return [gr.skip()] * (1 + 1 + MOST_COLUMNS + 2 + 2)
            if blind and self._chat(request).awaits_vote:
                shown = self._version_updates("", [column or "" for column in columns])
                words = f"{pair.split()[-1]} is there to be chosen. Vote first: the open comparison is a blind one."
                return [notice("info", words), *shown[1:], gr.skip(), gr.skip()]
            return [*self._version_updates("", pair.split(" ")), gr.Checkbox(value=blind), gr.Tabs(selected="chat")]

        return open_pair

    def _version_updates(self, model: str, references: Sequence[str]) -> list[Any]:
        """Notice, the model's and the columns' dropdowns, and the two column buttons."""
        try:
            entries = self.versions.refresh()
        except UserError as error:
            keep = [gr.skip()] * (1 + MOST_COLUMNS + 2)
            return [render.error_notice(error), *keep]
        names = render.model_names(entries)
        linked = next((reference.partition("/")[0] for reference in references if reference), model)
        name = next((each for each in (model, linked, self.sessions.config.register_as) if each in names), "")
        name = name or render.newest_model(entries)
        chosen = list(references) if any(references) else list(render.defaults(entries, name))
        chosen += [""] * (MOST_COLUMNS - len(chosen))
        options = render.choices(entries, name)
        width = max(2, sum(map(bool, chosen)))
        boxes = [gr.Dropdown(choices=options, value=value or None, visible=i < width) for i, value in enumerate(chosen)]
        empty = "" if entries else empty_registry()
        return [empty, gr.Dropdown(choices=names, value=name or None), *boxes, *column_buttons(width)]

    def pick_model(self, model: str) -> list[Any]:
        """Another model: its base on the left, its champion or newest version on the right."""
        entries = self.versions.entries
        left, right = render.defaults(entries, model)
        options = render.choices(entries, model)
        values = [left, right, *[None] * (MOST_COLUMNS - 2)]
        return [gr.Dropdown(choices=options, value=value) for value in values]

    def describe(self, *columns: str) -> list[Any]:
        """The rightmost version that is no base: quality, curve, steps, origin, card, held-out prompts, report."""
        at = rightmost_version(columns)
        if at is None:
            hidden = [gr.Accordion(visible=False), "", gr.Dataset(visible=False), gr.Button(visible=False)]
            return ["", "", gr.Slider(visible=False), "", *hidden, gr.Column(visible=False)]
        details, step = self.versions.details(columns[at])
        prompts = [[prompt] for prompt in details.prompts]
        return [
            render.quality(details),
            render.curve(details, step),
            step_slider(details.checkpoints, (details.restored_step or None) if step is None else step),
            render.origin(details),
            gr.Accordion(visible=bool(details.card)),
            details.card,
            gr.Dataset(samples=prompts, visible=bool(prompts)),
            gr.Button(visible=details.has_report),
            gr.Column(visible=details.kind == CLASSIFIER),
        ]

    def report(self, *columns: str) -> list[str]:
        """The report page of the run of the rightmost version that is no base."""
        at = rightmost_version(columns)
        if at is None:
            raise UserError("choose a version: a base has no report")
        version = self.versions.details(columns[at])[0].version
        with import_lock:
            from registry.report_files import load_page
        text = load_page(version.run_id)
        if not text:
            raise UserError(f"the run of {version.reference} keeps no report")
        return ["", file_to_save(f"{version.name}-{version.number}-report.html", text)]

    def select_step(self, step: float, *columns: str) -> list[Any]:
        """The rightmost version gets the weights of the checkpoint nearest to ``step``."""
        at = rightmost_version(columns)
        return [self.versions.at_step(column, step) if i == at else gr.skip() for i, column in enumerate(columns)]

    # The conversation

    def show(self, request: gr.Request, *values: Any) -> list[Any]:
        """The chosen models; their weights are loaded, so that the first answer does not wait for them."""
        controls, chat = _controls(values), self._chat(request)
        chosen = tuple(column for column in controls.columns if column)
        if self._only_label(chosen):
            return [gr.skip(), render.only_labels(chosen), "", *_vote_buttons(False)]
        self.sessions.choose(chat, chosen, controls.sampling, controls.blind, controls.system)
        return [gr.skip(), *_shown(chat)]

    def _only_label(self, chosen: Sequence[str]) -> bool:
        """Whether no version among ``chosen`` answers prompts."""
        can_chat = {entry.version.reference: render.can_chat(entry) for entry in self.versions.entries}
        return not any(can_chat.get(reference.removesuffix(":base"), True) for reference in chosen)

    def send(self, request: gr.Request, prompt: str, samples: str, *values: Any) -> Iterator[list[Any]]:
        """Generate the answers of all columns to ``prompt``, as many as ``samples`` names."""
        controls, chat = _controls(values), self._chat(request)
        given = (controls.sampling, controls.blind, controls.system, self._count(chat, samples, controls.columns))
        exchanges = self.sessions.answer(chat, controls.columns, prompt, *given)
        yield from _streamed(chat, exchanges, prompt)

    def regenerate(self, request: gr.Request, samples: str, *values: Any) -> Iterator[list[Any]]:
        """Answer the last prompt once more, with the settings of now; a seed that was used gives way to the next."""
        controls, chat = _controls(values), self._chat(request)
        seed = self.sessions.next_seed(chat, controls.sampling.seed)
        count = self._count(chat, samples, controls.columns)
        given = (replace(controls.sampling, seed=seed), controls.blind, controls.system, count)
        for shown in _streamed(chat, self.sessions.regenerate(chat, controls.columns, *given), ""):
            yield [*shown, seed]

    def _count(self, chat: Conversation, samples: str, columns: Sequence[str]) -> int:
        """How many answers ``samples`` names; ``chat`` notes what is counted in them, where the version shows it."""
        if samples not in COUNTS:
            raise UserError(f"choose one of {', '.join(COUNTS)} answers")
        at = rightmost_version(columns)
        chat.behaviour = None
        if COUNTS[samples] > 1 and at is not None:
            with suppress(UserError):  # where the registry does not answer, models that are loaded still do
                chat.behaviour = behaviour_of(self.versions.details(columns[at])[0])
        return COUNTS[samples]

    def stop(self, request: gr.Request) -> None:
        """End the answers that are being generated."""
        self._chat(request).stop.set()

    def open_transcript(self, request: gr.Request, text: str) -> list[Any]:
        """Make the transcript in ``text`` the conversation; notice, the emptied field, columns, blind and settings."""
        shared = self.kept.from_file(session_of(request), text)
        return ["", "", *columns_of(shared), *settings_of(shared)]

    def open_saved(self, request: gr.Request, name: str) -> list[Any]:
        """Open the saved conversation ``name``: notice, columns, blind and settings."""
        shared = self.kept.opened(session_of(request), name)
        if shared is None:
            raise UserError("choose a conversation first")
        return ["", *columns_of(shared), *settings_of(shared)]

    def edit(self, request: gr.Request) -> list[Any]:
        """Move the last prompt back into the field and remove the answers to it."""
        chat = self._chat(request)
        prompt = self.sessions.remove_last(chat)
        return ["", prompt, *_shown(chat)]

    def clear(self, request: gr.Request) -> str:
        """Begin a new conversation."""
        self.sessions.restart(session_of(request))
        return ""

    def self_check(self, request: gr.Request, *values: Any) -> list[Any]:
        """The left side against itself: equal models must give equal samples."""
        controls, chat = _controls(values), self._chat(request)
        if chat.hidden:
            raise UserError("vote first: a self-check shows which model is on the left")
        prompt = chat.exchanges[-1].prompt if chat.exchanges else SELF_CHECK_PROMPT
        transcript, same = self.sessions.self_check(controls.columns, controls.sampling, prompt)
        return ["", render.self_check(transcript, same)]

    def vote(self, choice: str) -> Callable[..., list[Any]]:
        """The handler of one vote button."""

        def vote(request: gr.Request) -> list[Any]:
            chat = self._chat(request)
            self.sessions.vote(chat, choice)
            return [render.voted(chat), *_shown(chat), *chat.references]

        return guarded(vote, 5 + VOTE_BUTTONS)

    def _chat(self, request: gr.Request) -> Conversation:
        return self.sessions.conversation(session_of(request))

    # Links and files

    def share_link(self, request: gr.Request, prompt: str, *values: Any) -> list[Any]:
        """Notice, and the query of a link to what is seen; the browser adds its own address."""
        controls, chat = _controls(values), self._chat(request)
        references = [self.versions.pinned(column) for column in controls.columns if column]
        query = to_query(references, controls.sampling, prompt or "", controls.blind, controls.system)
        note = ""
        if chat.exchanges and self.sessions.saved:
            query += f"&conversation={self.sessions.saved.share(chat)}"
        elif chat.exchanges:
            note = notice("warn", "This page keeps no conversations: the link holds the settings, not what was said.")
        return [note, gr.Textbox(value=query, visible=True)]

    def transcript(self, kind: str) -> Callable[..., list[str]]:
        """The handler that saves the conversation as ``html`` or ``json``."""

        def make(request: gr.Request) -> list[str]:
            chat = self._chat(request)
            if not chat.exchanges:
                raise UserError("this conversation has no messages yet")
            if chat.hidden:
                raise UserError("vote first: a transcript shows which side is which")
            transcript = chat.transcript()
            text = transcript_html.to_html(transcript) if kind == "html" else transcript.to_json()
            return ["", file_to_save(f"parley-transcript.{kind}", text)]

        return make


def _streamed(chat: Conversation, exchanges: Iterator[Exchange], typed: str) -> Iterator[list[Any]]:
    """Notice, prompt, panes, divergences and vote buttons while answers grow; ``typed`` returns on an error."""
    kept = [gr.skip()] * VOTE_BUTTONS
    try:
        for number, exchange in enumerate(exchanges):
            votes = kept if number else _vote_buttons(False)  # no vote on the answers before
            yield ["", "", render.panes(chat, exchange), "" if chat.hidden else summary(chat), *votes]
        done = render.panes(chat) if chat.exchanges else gr.skip()
        yield ["", "", done, render.divergences(chat), *_vote_buttons(not chat.vote_problem)]
    except UserError as error:
        panes = render.panes(chat) if chat.order else ""
        votes = _vote_buttons(not chat.vote_problem)
        yield [render.error_notice(error), typed, panes, render.divergences(chat), *votes]
    except Exception as error:
        yield [internal_error(error), typed, gr.skip(), gr.skip(), *kept]


def _shown(chat: Conversation) -> list[Any]:
    """Panes, divergences and vote buttons."""
    return [render.panes(chat), render.divergences(chat), *_vote_buttons(not chat.vote_problem)]


def _vote_buttons(can_vote: bool) -> list[gr.Button]:
    return [gr.Button(interactive=can_vote)] * VOTE_BUTTONS
