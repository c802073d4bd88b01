"""Requests of Tinker's API that are answered later, by their ids: what runs, and results until they are fetched."""

import asyncio
import traceback
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from data.errors import UserError, explain
from registry.errors import TrackingUnavailable
from serve.errors import RequestError

MIB = 1 << 20
MAX_PENDING = 1000
PENDING_BYTES = 64 * MIB
RESULT_BYTES = 64 * MIB
#: A result: a protocol buffer, or an object for JSON; one with ``error`` is that of a request that failed.
Reply = bytes | dict[str, Any]


@dataclass(eq=False)
class _Future:
    """A request of ``session``; ``size``: bytes of the request while it runs, then of its result."""

    session: str
    task: asyncio.Future[Reply]
    size: int


class Futures:
    """Runs requests: those of training in one thread, in their order, and samples in the event loop.

    At most ``MAX_PENDING`` requests of ``PENDING_BYTES`` together wait or run; of results, the newest ``RESULT_BYTES``
    are kept until their session ends, for a client whose connection broke fetches them again.
    """

    def __init__(self) -> None:
        self._found: OrderedDict[str, _Future] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, "tinker")
        self._pending, self._pending_bytes, self._result_bytes = 0, 0, 0

    def submit(self, request_id: str, session: str, size: int, work: Callable[[], Reply]) -> None:
        """Run ``work`` in the thread, after all that was submitted before; one that is known already is not repeated.

        Raises:
            RequestError: 429, too many requests wait.
        """
        if request_id not in self._found:
            self._require_room(size)
            loop = asyncio.get_running_loop()
            self._add(request_id, session, size, loop.run_in_executor(self._thread, partial(_reply, work)))

    def start(self, request_id: str, session: str, size: int, work: Callable[[], Coroutine[Any, Any, Reply]]) -> bool:
        """Run ``work`` in the event loop; False where the request is known already; raises as ``submit``."""
        if request_id in self._found:
            return False
        self._require_room(size)
        self._add(request_id, session, size, asyncio.ensure_future(_awaited(work())))
        return True

    def _require_room(self, size: int) -> None:
        if self._pending >= MAX_PENDING or (self._pending and self._pending_bytes + size > PENDING_BYTES):
            message = f"{self._pending} requests wait already; send more when some have ended."
            headers = {"retry-after": "1"}
            raise RequestError(message, 429, type="requests", code="rate_limit_exceeded", headers=headers)

    def _add(self, request_id: str, session: str, size: int, task: asyncio.Future[Reply]) -> None:
        self._found[request_id] = _Future(session, task, size)
        self._pending, self._pending_bytes = self._pending + 1, self._pending_bytes + size
        task.add_done_callback(partial(self._on_done, request_id, size))

    def _on_done(self, request_id: str, size: int, task: asyncio.Future[Reply]) -> None:
        self._pending, self._pending_bytes = self._pending - 1, self._pending_bytes - size
        future = self._found.get(request_id)
        if future is None or task.cancelled():
            return
        reply = task.result()
        future.size = len(reply) if isinstance(reply, bytes) else len(repr(reply))
        self._result_bytes += future.size
        for old, each in list(self._found.items()):
            if self._result_bytes <= RESULT_BYTES:
                break
            if each.task.done() and old != request_id:
                self._remove(old)

    def _remove(self, request_id: str) -> None:
        future = self._found.pop(request_id)
        if future.task.done() and not future.task.cancelled():
            self._result_bytes -= future.size
        else:
            future.task.cancel()

    def session_of(self, request_id: str) -> str | None:
        """The session of a request; None where it is unknown, or its result was dropped."""
        future = self._found.get(request_id)
        return future.session if future else None

    async def result(self, request_id: str, timeout_s: float) -> Reply | None:
        """The result of a request that is known; None where it has none after ``timeout_s`` seconds."""
        task = self._found[request_id].task
        await asyncio.wait({task}, timeout=timeout_s)
        if task.cancelled():
            return failed("the request was cancelled", "user")
        return task.result() if task.done() else None

    def cancel(self, request_id: str) -> None:
        """Stop a request; one that runs in the thread goes on."""
        self._found[request_id].task.cancel()

    def drop_session(self, session: str) -> None:
        """Forget all requests of ``session``; those that have not begun are not run."""
        for request_id in [each for each, future in self._found.items() if future.session == session]:
            self._remove(request_id)

    def close(self) -> None:
        """Run nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def failed(message: str, category: str) -> dict[str, Any]:
    """The result of a request that failed; ``category``: user or server."""
    return {"error": " ".join(message.splitlines()), "category": category}


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, TrackingUnavailable):
        return failed(str(error), "server")
    if isinstance(error, UserError):
        return failed(str(error), "user")
    traceback.print_exception(error)
    return failed(f"the server failed: {explain(error)}", "server")


def _reply(work: Callable[[], Reply]) -> Reply:
    try:
        return work()
    except Exception as error:  # whatever a model or a library raises belongs to this request alone
        return _failure(error)


async def _awaited(work: Awaitable[Reply]) -> Reply:
    try:
        return await work
    except Exception as error:
        return _failure(error)
