"""The token view: words, probability or difference in the panes, any text scored, another token forced."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from demo.errors import guarded
from demo.kept import session_of
from demo.listeners import PRIVATE
from demo.session import ChatSessions
from demo.token_scores import VIEWS, TokenScores
from demo.view import render
from demo.view.html import Markup, fragment


class TokenView:
    """Lays the controls out; ``connect`` joins them to the page's panes."""

    def __init__(self, sessions: ChatSessions) -> None:
        self.sessions, self.work = sessions, TokenScores(sessions)
        with gr.Accordion("Tokens: probability and difference", open=False, elem_id="tokens"):
            self.view = gr.Radio([*VIEWS], value=VIEWS[0], label="answers as", elem_id="token-view")
            with gr.Row(elem_classes="parley-input"):
                self.text = gr.Textbox(show_label=False, container=False, lines=1, max_lines=4, scale=6, min_width=160,
                                       placeholder="Any text, scored as an answer to the last prompt",
                                       elem_id="token-text")  # fmt: skip
                self.score = gr.Button("Score", size="sm", scale=0, min_width=70, elem_id="token-score")
        self.other = gr.HTML(elem_id="token-other", padding=False)
        self.choice = gr.Textbox(visible="hidden", elem_id="token-choice", show_label=False)

    def connect(self, notice: gr.HTML, panes: gr.HTML, events: Sequence[Any]) -> None:
        """Draw ``panes`` anew when the view changes and after each of ``events``."""
        outs = [notice, panes, self.other]
        self.view.input(guarded(self.show, 3), self.view, outs, **PRIVATE)
        for event in events:
            event.then(guarded(self.after_answer, 3), self.view, outs, **PRIVATE)
        gr.on([self.score.click, self.text.submit], guarded(self.score_text, 2), [self.text, self.view],
              [notice, self.other], **PRIVATE)  # fmt: skip
        self.choice.change(guarded(self.force, 2), [self.choice, self.view], [notice, self.other], **PRIVATE)

    def show(self, request: gr.Request, view: str) -> list[Any]:
        """The panes in ``view``, the tokens of their last answers scored first."""
        chat = self._chat(request)
        if view != VIEWS[0] and chat.exchanges:
            self.work.compute(chat)
        chat.view = view if view in VIEWS else VIEWS[0]
        return ["", render.panes(chat) if chat.order else gr.skip(), self._other(request, view)]

    def after_answer(self, request: gr.Request, view: str) -> list[Any]:
        """The same after an answer; nothing where the view is that of words."""
        chat = self._chat(request)
        if view == VIEWS[0] or chat.hidden or not chat.exchanges:
            return [gr.skip(), gr.skip(), self._other(request, view)]
        return [gr.skip(), *self.show(request, view)[1:]]

    def score_text(self, request: gr.Request, text: str, view: str) -> list[Any]:
        """The pasted ``text`` under both models."""
        self.work.score_text(self._chat(request), text)
        return ["", self._other(request, view)]

    def force(self, request: gr.Request, choice: str, view: str) -> list[Any]:
        """The answer with another token at the place that was chosen."""
        self.work.force(self._chat(request), choice)
        return ["", self._other(request, view)]

    def _other(self, request: gr.Request, view: str) -> Markup:
        chat = self._chat(request)
        if not chat.other_text:
            return Markup("")
        pane, scores = chat.other_text
        shown, line = render.token_text(chat, pane, scores, view if view in VIEWS[1:] else VIEWS[2], other=True)
        return fragment("other_text.html", name=render.NAMES[pane], text=shown, footer=line)

    def _chat(self, request: gr.Request) -> Any:
        return self.sessions.conversation(session_of(request))
