"""Models behind an OpenAI-compatible API, streamed through the openai SDK."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inference.transcript import Reply, Sampling

SILENCE_S = 20.0  # the longest wait for the next piece of an answer
CONNECT_S = 5.0


class Stream:
    """One answer on its way. ``reply`` is what has come so far; ``read`` takes in what is new.

    The key is read from the environment, as the SDK does (``OPENAI_API_KEY``), and is never kept here.
    """

    def __init__(
        self, model_and_address: tuple[str, str], messages: Sequence[dict[str, str]], sampling: Sampling, limit_s: float
    ) -> None:
        self.model, self.address = model_and_address
        self.start = time.perf_counter()
        self.reply = Reply("", (), "", None, 0.0)
        self._news: queue.SimpleQueue[tuple[float, str, str]] = queue.SimpleQueue()
        self._closed = threading.Event()
        work = (list(messages), sampling, limit_s)
        threading.Thread(target=self._follow, args=work, name="remote-answer", daemon=True).start()

    def read(self, wait_s: float = 0.0) -> None:
        """Bring ``reply`` up to date, waiting at most ``wait_s`` seconds for the first of it."""
        with contextlib.suppress(queue.Empty):
            while not self.reply.ended:
                at_s, kind, text = self._news.get(timeout=wait_s) if wait_s else self._news.get_nowait()
                wait_s = 0.0
                if kind == "text":
                    first = at_s if self.reply.first_token_s is None else self.reply.first_token_s
                    self.reply = replace(self.reply, text=self.reply.text + text, first_token_s=first, seconds=at_s)
                elif kind == "error":
                    self.reply = replace(self.reply, ended="error", error=text, seconds=at_s)
                else:
                    self.reply = replace(self.reply, ended=text, seconds=at_s)

    def close(self) -> None:
        """Take no more of it; the connection is closed at the next piece, or after ``SILENCE_S`` without one."""
        self._closed.set()

    def _add(self, kind: str, text: str) -> None:
        self._news.put((time.perf_counter() - self.start, kind, text))

    def _follow(self, messages: list[dict[str, str]], sampling: Sampling, limit_s: float) -> None:
        import openai

        try:
            timeout = openai.Timeout(min(limit_s, SILENCE_S), connect=min(limit_s, CONNECT_S))
            # no second try: a person waits, and an answer that was begun has been paid for
            client = openai.OpenAI(base_url=self.address or None, timeout=timeout, max_retries=0)
            settings: dict[str, Any] = {"temperature": sampling.temperature, "top_p": sampling.top_p}
            settings |= {"max_tokens": sampling.max_new_tokens, "seed": sampling.seed}
            with (
                client,
                client.chat.completions.create(  # pyright: ignore[reportCallIssue]
                    model=self.model,
                    messages=messages,  # pyright: ignore[reportArgumentType]
                    stream=True,
                    **settings,
                ) as events,
            ):
                ended = self._take(events)
            if ended:
                self._add("end", ended)
            else:
                self._add("error", f"{self.model}: the server's answer broke off, or was none")
        except openai.OpenAIError as error:
            self._add("error", explain(error, self.model))
        except Exception as error:  # whatever the SDK raises for a server's answers ends this pane, not the page
            self._add("error", f"{self.model}: the answer broke off ({type(error).__name__})")

    def _take(self, events: Any) -> str:
        """How the answer ended; empty where the server did not say."""
        ended = ""
        for event in events:
            if self._closed.is_set():
                return "stopped"
            for choice in event.choices[:1]:
                if choice.delta and choice.delta.content:
                    self._add("text", choice.delta.content)
                if choice.finish_reason:
                    ended = "length" if choice.finish_reason == "length" else "end"
        return ended


def explain(error: Exception, model: str) -> str:
    """One line for an error of the SDK, without the key that some of them quote."""
    import openai

    if isinstance(error, openai.AuthenticationError):
        return f"{model}: the server refuses the key in OPENAI_API_KEY"
    if isinstance(error, openai.NotFoundError):
        return f"{model}: the server has no such model"
    if isinstance(error, openai.PermissionDeniedError):
        return f"{model}: the key in OPENAI_API_KEY may not use it"
    if isinstance(error, openai.RateLimitError):
        return f"{model}: the server's rate limit or quota is reached"
    if isinstance(error, openai.APITimeoutError):
        return f"{model}: the server did not answer in time"
    if isinstance(error, openai.APIConnectionError):
        return f"{model}: the server can't be reached, or the connection broke off"
    if isinstance(error, openai.APIStatusError):
        return f"{model}: the server answers with status {error.status_code}"
    if not os.environ.get("OPENAI_API_KEY"):
        return f"{model}: set OPENAI_API_KEY to talk to it"
    return f"{model}: {type(error).__name__}"
