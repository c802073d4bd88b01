"""The page's named endpoints for programs (``gradio_client`` and plain HTTP): compare, versions, vote."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from data.errors import UserError
from demo.errors import INTERNAL_ERROR, internal_error
from demo.session import ChatSessions
from demo.version_cache import VersionCache
from demo.view.html import without_folders
from inference.transcript import Sampling, plain


def add(sessions: ChatSessions, versions_of: VersionCache, line: str) -> None:
    """Register the endpoints in the Blocks that are open; ``line`` is the queue that model events share."""

    def compare(
        prompt: str,
        left: str,
        right: str = "",
        third: str = "",
        fourth: str = "",
        temperature: float = 0.7,
        top_p: float = 1.0,
        max_new_tokens: int = 60,
        seed: int = 7,
        conversation: str = "",
        system: str = "",
    ) -> Iterator[dict]:
        """Let one to four versions answer a prompt. Yields the exchange as it grows; the last one has ``done`` true.

        References are those of ``versions``: pirate/3, pirate@champion, pirate/3:base, pirate/3:24 (a checkpoint).
        Give the ``conversation`` of an answer to continue it; the same references and settings must come with it.
        """
        with _errors():
            token = conversation or uuid.uuid4().hex
            chat = sessions.known(_session(token)) if conversation else sessions.conversation(_session(token))
            sampling = Sampling(temperature, top_p, max_new_tokens, seed)
            frame: dict[str, Any] = {}
            for exchange in sessions.answer(chat, (left, right, third, fourth), prompt, sampling, system=system):
                frame = {**plain(exchange), "models": plain(chat.models), "execution": chat.execution}
                yield {"conversation": token, "done": False, **frame}
            yield {"conversation": token, "done": True, **frame}

    def versions(name: str = "") -> list:
        """Every version of every registered model, or of ``name``: reference, aliases, kind, verdict, metrics, base."""
        with _errors():
            return versions_of.described(name)

    def vote(conversation: str, choice: str, comment: str = "") -> dict:
        """Vote on the last exchange of a conversation between two versions: left, right, tie or both_bad."""
        with _errors():
            sessions.vote(sessions.known(_session(conversation)), choice, comment)
            return {"conversation": conversation, "choice": choice}

    gr.api(compare, api_name="compare", concurrency_id=line, concurrency_limit=1)
    gr.api(versions, api_name="versions")
    gr.api(vote, api_name="vote")


@contextmanager
def _errors() -> Iterator[None]:
    """Every error as ``gr.Error`` with one line, which is what a client gets; internal ones are logged."""
    try:
        yield
    except UserError as error:
        raise gr.Error(without_folders(str(error)), print_exception=False) from error
    except Exception as error:
        internal_error(error)
        raise gr.Error(INTERNAL_ERROR, print_exception=False) from error


def _session(conversation: object) -> str:
    """The session of a program's conversation: a name that no visitor's session has."""
    if not isinstance(conversation, str) or not conversation.isalnum() or len(conversation) > 64:
        raise UserError("conversation is the text that came with an answer, or empty")
    return f"api {conversation}"
