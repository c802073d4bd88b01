"""What each control of the page does. Every method takes and gives what Gradio hands over, in the order of ``app``."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from data.errors import UserError
from demo import transcript_html
from demo.errors import guarded, unforeseen
from demo.lazy import late
from demo.session import ChatSessions, Conversation
from demo.share_links import from_query, to_query
from demo.version_cache import VersionCache
from demo.view import render
from demo.view.details import empty_registry
from inference.transcript import Exchange, Sampling
from registry.votes.votes import head_to_head, preference_pairs, win_rates

MOST_COLUMNS = 4


class EventHandlers:
    """The page's events over ``desk`` (conversations) and ``shelf`` (what the registry has)."""

    def __init__(self, desk: ChatSessions, shelf: VersionCache):
        self.desk, self.shelf = desk, shelf

    # What the registry has

    def open(self, request: gr.Request) -> list[Any]:
        """The page as a link or a newcomer finds it."""
        asked = from_query(dict(request.query_params), self.desk.config)
        shown = self._shelf_updates("", asked.references)
        if asked.notes:
            shown[0] = "".join(render.notice("warn", note) for note in asked.notes)
        sampling = asked.sampling
        settings = [sampling.temperature, sampling.top_p, sampling.max_new_tokens, sampling.seed]
        return [*shown, asked.prompt, asked.blind, *settings]

    def refresh(self, model: str, *columns: str) -> list[Any]:
        """Ask the registry anew; what was chosen stays."""
        return self._shelf_updates(model, tuple(column or "" for column in columns))

    def _shelf_updates(self, model: str, references: Sequence[str]) -> list[Any]:
        """Notice, the model's and the columns' dropdowns, and the two column buttons."""
        try:
            entries = self.shelf.look()
        except UserError as error:
            keep = [gr.skip()] * (1 + MOST_COLUMNS + 2)
            return [render.trouble(error), *keep]
        names = sorted({entry.version.name for entry in entries})
        wanted = next((reference.partition("/")[0] for reference in references if reference), model)
        name = next((each for each in (model, wanted, self.desk.config.register_as) if each in names), "")
        name = name or render.newest_model(entries)
        chosen = list(references) if any(references) else list(render.defaults(entries, name))
        chosen += [""] * (MOST_COLUMNS - len(chosen))
        options = render.choices(entries, name)
        width = max(2, sum(map(bool, chosen)))
        boxes = [gr.Dropdown(choices=options, value=value or None, visible=i < width) for i, value in enumerate(chosen)]
        empty = "" if entries else empty_registry()
        buttons = [gr.Button(visible=width < MOST_COLUMNS), gr.Button(visible=width > 2)]
        return [empty, gr.Dropdown(choices=names, value=name or None), *boxes, *buttons]

    def pick_model(self, model: str) -> list[Any]:
        """Another model: its base on the left, its champion or newest version on the right."""
        entries = self.shelf.entries
        left, right = render.defaults(entries, model)
        options = render.choices(entries, model)
        values = [left, right, None, None]
        return [gr.Dropdown(choices=options, value=value) for value in values]

    def about(self, *columns: str) -> list[Any]:
        """The rightmost version that is no base: its facts, checkpoints, card and held-out prompts."""
        reference = next((column for column in reversed(columns) if column and not column.endswith(":base")), "")
        if not reference:
            return ["", "", gr.Slider(visible=False), "", gr.Accordion(visible=False), "", gr.Dataset(visible=False)]
        story, step = self.shelf.story(reference)
        steps = story.checkpoints
        slider = gr.Slider(visible=False)
        if len(steps) > 1:
            apart = min(after - before for before, after in zip(steps, steps[1:], strict=False))
            now = step if step is not None else (story.restored_step or steps[-1])
            slider = gr.Slider(minimum=steps[0], maximum=steps[-1], step=apart, value=now, visible=True)
        prompts = [[prompt] for prompt in story.prompts]
        return [
            render.why(story),
            render.curve(story, step),
            slider,
            render.origin(story),
            gr.Accordion(visible=bool(story.card)),
            story.card,
            gr.Dataset(samples=prompts, visible=bool(prompts)),
        ]

    def move(self, step: float, *columns: str) -> list[Any]:
        """Along the curve: the rightmost version gets the nearest checkpoint's weights."""
        at = max((i for i, column in enumerate(columns) if column and not column.endswith(":base")), default=None)
        if at is None:
            return [gr.skip()] * MOST_COLUMNS
        return [self.shelf.at_step(column, step) if i == at else gr.skip() for i, column in enumerate(columns)]

    # The conversation

    def show(self, request: gr.Request, *values: Any) -> list[Any]:
        """Who speaks now; their weights are loaded, so that the first answer comes at once."""
        *columns, blind = values[: MOST_COLUMNS + 1]
        talk = self.desk.conversation(_session(request))
        chosen = tuple(column for column in columns if column)
        if not chosen:
            return [gr.skip(), "", ""]
        self.desk.choose(talk, chosen, _sampling(values[MOST_COLUMNS + 1 :]), bool(blind))
        return [gr.skip(), render.panes(talk), render.partings(talk) + render.way(talk)]

    def ask(self, request: gr.Request, prompt: str, *values: Any) -> Iterator[list[Any]]:
        """Answer what was typed, every side at once."""
        talk = self.desk.conversation(_session(request))
        *columns, blind = values[: MOST_COLUMNS + 1]
        asking = self.desk.ask(talk, columns, prompt, _sampling(values[MOST_COLUMNS + 1 :]), bool(blind))
        yield from _shown(talk, asking, prompt)

    def again(self, request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        """The last prompt once more, with the settings as they are now."""
        talk = self.desk.conversation(_session(request))
        *columns, blind = values[: MOST_COLUMNS + 1]
        asking = self.desk.again(talk, columns, _sampling(values[MOST_COLUMNS + 1 :]), bool(blind))
        yield from _shown(talk, asking, "")

    def stop(self, request: gr.Request) -> None:
        """End the answers that grow now."""
        self.desk.conversation(_session(request)).stop.set()

    def edit(self, request: gr.Request) -> list[Any]:
        """The last prompt back into the field, and what was answered to it away."""
        talk = self.desk.conversation(_session(request))
        prompt = self.desk.take_back(talk)
        return ["", prompt, render.panes(talk), render.partings(talk)]

    def clear(self, request: gr.Request) -> str:
        """Begin a new conversation."""
        self.desk.restart(_session(request))
        return ""

    def check(self, request: gr.Request, *values: Any) -> list[Any]:
        """The left side against itself: equal models must give equal samples."""
        *columns, _blind = values[: MOST_COLUMNS + 1]
        talk = self.desk.conversation(_session(request))
        if talk.hidden:
            raise UserError("vote first: a self-check says who speaks")
        prompt = talk.exchanges[-1].prompt if talk.exchanges else "Hello, how are you today?"
        transcript, same = self.desk.self_check(columns, _sampling(values[MOST_COLUMNS + 1 :]), prompt)
        return ["", render.self_check(transcript, same)]

    def vote(self, choice: str) -> Callable[..., list[Any]]:
        """The event of one vote button."""

        def vote(request: gr.Request) -> list[Any]:
            talk = self.desk.conversation(_session(request))
            self.desk.vote(talk, choice)
            return [render.voted(talk), render.panes(talk), render.partings(talk) + render.way(talk)]

        return guarded(vote, 3)

    # What leaves the page

    def link(self, prompt: str, *values: Any) -> Any:
        """The query of a link to this comparison; the browser puts its own address before it."""
        *columns, blind = values[: MOST_COLUMNS + 1]
        chosen = [self.shelf.pinned(column) for column in columns if column]
        query = to_query(chosen, _sampling(values[MOST_COLUMNS + 1 :]), prompt or "", bool(blind))
        return gr.Textbox(value=query, visible=True)

    def transcript(self, kind: str) -> Callable[..., list[str]]:
        """The event that gives the conversation as ``html`` or ``json``."""

        def make(request: gr.Request) -> list[str]:
            talk = self.desk.conversation(_session(request))
            if not talk.exchanges:
                raise UserError("nothing was said yet")
            if talk.hidden:
                raise UserError("vote first: a transcript says which side is which")
            kept = talk.transcript()
            text = transcript_html.to_html(kept) if kind == "html" else kept.to_json()
            return ["", _parcel(f"parley-transcript.{kind}", text)]

        return make

    def pairs(self) -> list[str]:
        """All votes as preference pairs."""
        self.desk.deliver_votes()
        rows = list(preference_pairs(late("registry.votes.store").load()))
        if not rows:
            raise UserError("no vote has preferred one of two whole, different answers yet")
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return ["", _parcel("parley-preferences.jsonl", text)]

    def standings(self) -> list[str]:
        """The votes, counted anew."""
        self.desk.deliver_votes()
        votes = late("registry.votes.store").load()
        return ["", render.standings(win_rates(votes), head_to_head(votes), win_rates(votes, blind=False))]


def _shown(talk: Conversation, asking: Iterator[Exchange], typed: str) -> Iterator[list[Any]]:
    """Notice, prompt, panes and partings while an answer grows; ``typed`` comes back into the field on an error."""
    try:
        for exchange in asking:
            yield ["", "", render.panes(talk, exchange), ""]
        done = render.panes(talk) if talk.exchanges else gr.skip()
        yield ["", "", done, render.partings(talk) + render.way(talk)]
    except UserError as error:
        shown = render.panes(talk) if talk.order else ""
        yield [render.trouble(error), typed, shown, render.partings(talk)]
    except Exception as error:
        yield [unforeseen(error), typed, gr.skip(), gr.skip()]


def resized_by(change: int) -> Callable[..., list[Any]]:
    """Show one column more, or take the last one away."""

    def resize(*columns: str) -> list[Any]:
        shown = max(2, max((i + 1 for i, column in enumerate(columns) if column), default=0))
        width = min(MOST_COLUMNS, max(2, shown + change))
        values = [*columns]
        if change > 0 and width > shown:
            values[width - 1] = columns[shown - 1]
        boxes = [gr.Dropdown(visible=i < width, value=value if i < width else None) for i, value in enumerate(values)]
        return [*boxes, gr.Button(visible=width < MOST_COLUMNS), gr.Button(visible=width > 2)]

    return resize


def _sampling(values: Sequence[Any]) -> Sampling:
    """The settings as they arrived; sliders send whole numbers as floats at times."""
    known: list[Any] = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    return Sampling(*known)


def _session(request: gr.Request) -> str:
    return request.session_hash or "nobody"


def _parcel(name: str, text: str) -> str:
    return json.dumps({"name": name, "text": text})
