"""Events on conversations that the page keeps: open one by its link, list them, delete one, open a transcript file."""

from dataclasses import replace
from typing import Any

import gradio as gr

from data.errors import UserError
from demo import transcript_html
from demo.conversation import Conversation, from_transcript
from demo.limits import sampling_problems
from demo.session import ChatSessions, check_references
from demo.share_links import Shared


def session_of(request: gr.Request) -> str:
    """The id of the open page that a request comes from."""
    return request.session_hash or "no session"


def settings_of(shared: Shared) -> list[Any]:
    """Values of the blind checkbox, the four settings and the system prompt."""
    sampling = shared.sampling
    settings = [sampling.temperature, sampling.top_p, sampling.max_new_tokens, sampling.seed]
    return [shared.blind, *settings, shared.system]


class KeptConversations:
    """What is done with conversations beside talking, in ``sessions``."""

    def __init__(self, sessions: ChatSessions) -> None:
        self.sessions = sessions

    def opened(self, session: str, name: str) -> Shared | None:
        """Make the saved conversation ``name`` that of ``session``; what its controls show, None without a name.

        Raises:
            UserError: there is none, this page keeps none, or its settings are beyond this page's limits.
        """
        if not name:
            return None
        if not self.sessions.saved:
            raise UserError("this page keeps no conversations, so the link shows its settings only")
        return self._placed(session, self.sessions.saved.open(name))

    def from_file(self, session: str, text: str) -> Shared:
        """Make the transcript in ``text`` (HTML or JSON) the conversation of ``session``.

        Raises:
            UserError: it is none, or has more columns or other settings than this page takes.
        """
        chat = from_transcript(transcript_html.read(text))
        limits = self.sessions.config
        if len(chat.models) > limits.panes:
            raise UserError(f"this transcript has {len(chat.models)} columns; at most {limits.panes} are shown")
        check_references(chat.references)
        return self._placed(session, chat)

    def _placed(self, session: str, chat: Conversation) -> Shared:
        sampling = replace(chat.sampling, seed=chat.last_seed)
        for problem in sampling_problems(sampling, self.sessions.config).values():
            raise UserError(f"this conversation can't go on here: {problem}")
        if chat.revealed:  # its sides are known, so it goes on as one that is not blind
            chat.blind, chat.exchange_id = False, ""  # its vote is cast: one more would take its place
        self.sessions.place(session, chat)
        return Shared(chat.references, sampling, "", chat.blind, chat.system)

    def open_id(self, session: str) -> str:
        """The id under which the conversation of ``session`` is kept as it is now; empty where it is not."""
        chat = self.sessions.conversation(session)
        return chat.saved_id or chat.shared_id

    def choices(self) -> list[tuple[str, str]]:
        """(name, id) of the saved conversations, those that changed last first."""
        return [(each.name, each.id) for each in self.sessions.saved.listed()] if self.sessions.saved else []

    def delete(self, session: str, name: str) -> None:
        """Delete a saved conversation; that of ``session`` stays open there, and is no longer a saved one."""
        if self.sessions.saved:
            self.sessions.saved.delete(name)
            chat = self.sessions.conversation(session)
            chat.saved_id = "" if chat.saved_id == name else chat.saved_id
