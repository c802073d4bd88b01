"""The models in a process of their own: they import, load and answer while the page does its work.

One connection a chat message: it loads the models of the panes and then carries their answers. Whatever becomes of
that process, the page lives on and starts another.
"""

import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import current_process, get_context
from multiprocessing.connection import Client, Connection, Listener
from typing import TYPE_CHECKING, Any, TypeVar

from data.child_process import end, end_with_parent
from data.errors import UserError, explain
from data.processes import collect_as_usual, collect_rarely
from inference.locations import ModelLocation, UnavailableModel
from inference.observations import RenderedPrompt, TokenScore
from inference.threads import set_threads
from inference.transcript import Exchange, Sampling

if TYPE_CHECKING:
    from inference.model_group import ModelGroup
    from inference.model_pool import ModelPool

T = TypeVar("T")
Locations = Sequence[ModelLocation | UnavailableModel]
POLL_S = 0.02  # between two checks whether an answer shall stop
BACKLOG = 64
STOP = "stop"
ENDED = "the process of the models has ended, perhaps for want of memory; it is started anew: ask again"
_DONE = object()


@dataclass(frozen=True)
class PoolSettings:
    """What the models may use: bytes of weights, and CPU threads (0: all cores)."""

    capacity_bytes: int
    threads: int = 0


class ModelProcess:
    """A ``ModelPool`` in a process of its own; ``look`` finds the locations of references, in this process."""

    def __init__(self, settings: PoolSettings, look: Callable[[Sequence[str]], Locations]) -> None:
        self._settings, self._look = settings, look
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._addresses, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(theirs, self._settings), name="models", daemon=True)
        self._process.start()
        theirs.close()
        self._address = ""

    def open(self, references: Sequence[str]) -> "ModelProcessClient":
        """Load the models of ``references``; one that can't be loaded has its error in place of its answers.

        Raises:
            UserError: the process has ended.
        """
        locations = tuple(self._look(references))
        try:
            connection = self._connect()
        except (EOFError, OSError) as error:
            raise UserError(ENDED) from error
        return ModelProcessClient(connection, locations)

    def _connect(self) -> Connection:
        with self._lock:
            if not self._process.is_alive():
                self._start()
            self._address = self._address or self._addresses.recv()
        return Client(self._address, authkey=current_process().authkey)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        end(self._process, by_itself=True)


class ModelProcessClient:
    """An ``inference.model_pool.ModelGroup`` of the other process, over one connection.

    The models stay loaded and the connection open for as long as this object, or an answer that is under way, lives.
    Answers come one after the other; after one that was abandoned half-way there are no more.
    """

    def __init__(self, connection: Connection, locations: Locations) -> None:
        self._connection = connection
        [(self.models, self.way, self.remote, self.errors)] = self._request(locations)

    def generate(
        self,
        prompt: str,
        sampling: Sampling,
        history: Sequence[Exchange] = (),
        stop: Callable[[], bool] = lambda: False,
        limit_s: float = 60.0,
        system: str = "",
        samples: int = 1,
        prefix: Sequence[int] = (),
    ) -> Iterator[Exchange]:
        """As ``ModelGroup.generate``.

        Raises:
            UserError: the models refuse the request, or their process has ended.
        """
        given = {"prompt": prompt, "sampling": sampling, "history": tuple(history), "limit_s": limit_s}
        return self._request(("generate", given | {"system": system, "samples": samples, "prefix": prefix}), stop)

    def rendered(
        self, prompt: str, history: Sequence[Exchange], system: str, new_tokens: int
    ) -> tuple[RenderedPrompt | None, ...]:
        """As ``ModelGroup.rendered``."""
        given = {"prompt": prompt, "history": tuple(history), "system": system, "new_tokens": new_tokens}
        return self._call("rendered", given)

    def token_scores(
        self,
        panes: tuple[int, int],
        prompt: str,
        history: Sequence[Exchange],
        system: str,
        text: Sequence[int] | str,
        new_tokens: int,
    ) -> tuple[TokenScore, ...]:
        """As ``ModelGroup.token_scores``."""
        given = {"panes": panes, "prompt": prompt, "history": tuple(history), "system": system}
        return self._call("token_scores", given | {"text": text, "new_tokens": new_tokens})

    def token_texts(self, token_ids: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
        """As ``ModelGroup.token_texts``."""
        return self._call("token_texts", {"token_ids": token_ids})

    def _call(self, method: str, given: dict[str, Any]) -> Any:
        [value] = self._request((method, given))
        return value

    def _request(self, request: object, stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
        """The values that the other process answers to ``request``, one by one."""
        connection, ended, stopped = self._connection, False, False
        try:
            connection.send(request)
            while not ended:
                if not stopped and stop():
                    stopped = True
                    connection.send(STOP)
                if connection.poll(POLL_S):
                    kind, value = connection.recv()
                    ended = kind != "value"
                    if kind == "value":
                        yield value
                    elif kind != "end":
                        raise (UserError if kind == "refused" else RuntimeError)(value)
        except (EOFError, OSError) as error:
            raise UserError(ENDED) from error
        finally:
            if not ended:  # the rest of this answer would be read as the next one's beginning
                connection.close()


def in_thread(items: Iterator[T], stop: threading.Event) -> Iterator[T]:
    """The newest of ``items`` at each step; a thread of its own iterates them, so a slow reader delays nothing.

    When the reader leaves, ``stop`` is set, and ``items`` is expected to end by it. An exception of ``items`` is raised
    here.
    """
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def make() -> None:
        try:
            for item in items:
                made.put(item)
            made.put(_DONE)
        except BaseException as error:
            made.put(error)

    threading.Thread(target=make, name="answering", daemon=True).start()
    ended = False
    try:
        while True:
            item = made.get()
            ended = item is _DONE or isinstance(item, BaseException)
            if isinstance(item, BaseException):
                raise item
            if ended:
                return
            while not made.empty():  # a slow reader gets the newest state, not every one in between
                newer = made.get()
                if newer is _DONE or isinstance(newer, BaseException):
                    made.put(newer)
                    break
                item = newer
            yield item
    finally:
        if not ended:
            stop.set()


# The other process


def _serve(addresses: Connection, settings: PoolSettings) -> None:
    """Send the address of a listener to ``addresses``, then serve its connections until the page ends."""
    end_with_parent()
    collect_rarely()
    signal.signal(signal.SIGTERM, _exit)
    pool = _make_pool(settings)
    collect_as_usual()
    with Listener(backlog=BACKLOG, authkey=current_process().authkey) as listener:
        addresses.send(listener.address)
        while True:
            try:
                connection = listener.accept()
            except (EOFError, OSError):  # the page has closed it again
                continue
            threading.Thread(target=_serve_connection, args=(connection, pool), daemon=True).start()


def _exit(number: int, frame: object) -> None:
    """Exit so that multiprocessing removes its semaphores, which Python else calls leaked."""
    sys.exit()


def _make_pool(settings: PoolSettings) -> "ModelPool":
    from inference.model_pool import ModelPool
    from train.base_model import pick_device

    set_threads(settings.threads)
    for name in ("transformers.models.gpt2.modeling_gpt2", "transformers.models.auto.modeling_auto"):
        import_module(name)  # now rather than at the first answer
    return ModelPool(None, settings.capacity_bytes, pick_device())


def _serve_connection(connection: Connection, pool: "ModelPool") -> None:
    """Load the models at the locations that come first, then answer each prompt, until the page closes."""
    with connection, suppress(EOFError, OSError):
        group = None
        while True:
            request = connection.recv()
            if request == STOP:  # it came after the answer had ended
                continue
            try:
                if group is None:
                    group = pool.load(request)
                    connection.send(("value", (group.models, group.way, group.remote, group.errors)))
                else:
                    method, given = request
                    for value in _values(group, method, given, connection):
                        connection.send(("value", value))
                connection.send(("end", None))
            except (EOFError, OSError):
                raise
            except UserError as error:
                connection.send(("refused", str(error)))
            except Exception as error:
                traceback.print_exception(error, file=sys.stderr)
                connection.send(("failed", explain(error)))


def _values(group: "ModelGroup", method: str, given: dict[str, Any], connection: Connection) -> Iterator[Any]:
    """What ``method`` of ``group`` answers; a STOP that comes, or the page's closing, ends a generation."""
    if method == "generate":
        yield from group.generate(**given, stop=connection.poll)
    else:
        yield getattr(group, method)(**given)
