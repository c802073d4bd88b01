"""The models in a process of their own: they import, load and answer while the page does its work.

One connection a request. Whatever becomes of that process, the page lives on and starts another.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import current_process, get_context, parent_process
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, TypeVar

from data.errors import UserError, explain
from inference.locations import ModelLocation, UnavailableModel
from inference.transcript import Exchange, ModelInfo, Sampling

T = TypeVar("T")
Look = Callable[[Sequence[str]], Sequence[ModelLocation | UnavailableModel]]
GLANCE_S = 0.02  # between two looks whether an answer shall stop
BACKLOG = 64
ENDED = "the process of the models has ended, perhaps for want of memory; it is started anew: ask again"


@dataclass(frozen=True)
class PoolSettings:
    """How much the models may take: bytes of weights, and CPU threads (0: all cores)."""

    capacity_bytes: int
    threads: int = 0


class ModelProcess:
    """A ``ModelPool`` in a process of its own; ``look`` finds the locations of references, in this process."""

    def __init__(self, room: PoolSettings, look: Look):
        self._room, self._look = room, look
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self._news, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_serve, args=(theirs, self._room), name="models", daemon=True)
        self._process.start()
        theirs.close()
        self._address = ""

    def open(self, references: Sequence[str]) -> "ModelProcessClient":
        """Load what ``references`` need; those that can't be had say why and leave the others alone."""
        places = tuple(self._look(references))
        return ModelProcessClient(self, places, *next(self.ask(("open", places))))

    def ask(self, request: tuple[Any, ...], stop: Callable[[], bool] = lambda: False) -> Iterator[Any]:
        """What the models' process answers to ``request``, piece by piece.

        Raises:
            UserError: it says so, or it has ended.
        """
        try:
            with self._connect() as line:
                line.send(request)
                told = False
                while True:
                    if not told and stop():
                        told = True
                        line.send("stop")
                    if line.poll(GLANCE_S):
                        kind, value = line.recv()
                        if kind == "end":
                            return
                        if kind == "refused":
                            raise UserError(value)
                        if kind == "failed":
                            raise RuntimeError(value)
                        yield value
        except (EOFError, OSError) as error:
            raise UserError(ENDED) from error

    def _connect(self) -> Connection:
        with self._lock:
            if not self._process.is_alive():
                self._start()
            self._address = self._address or self._news.recv()
        return Client(self._address, authkey=current_process().authkey)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


@dataclass(frozen=True)
class ModelProcessClient:
    """What a ``inference.model_pool.ModelGroup`` is, seen from the page."""

    backstage: ModelProcess
    places: tuple[ModelLocation | UnavailableModel, ...]
    voices: tuple[ModelInfo, ...]
    way: str
    remote: tuple[bool, ...]

    def ask(
        self,
        prompt: str,
        sampling: Sampling,
        history: Sequence[Exchange] = (),
        stop: Callable[[], bool] = lambda: False,
        limit_s: float = 60.0,
    ) -> Iterator[Exchange]:
        """As ``Panel.ask``."""
        return self.backstage.ask(("ask", self.places, prompt, sampling, tuple(history), limit_s), stop)


# The other process


def _serve(news: Any, room: PoolSettings) -> None:
    """Answer requests until the page is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the page's to act on, which ends this process
    threading.Thread(target=_end_with_the_page, daemon=True).start()
    pool = _make_pool(room)
    with Listener(backlog=BACKLOG, authkey=current_process().authkey) as listener:
        news.send(listener.address)
        while True:
            try:
                line = listener.accept()
            except (EOFError, OSError):  # who knocked has left again
                continue
            threading.Thread(target=_answer, args=(line, pool), daemon=True).start()


def _end_with_the_page() -> None:
    page = parent_process()
    assert page
    page.join()
    os._exit(0)


def _make_pool(room: PoolSettings) -> Any:
    import torch

    from inference.model_pool import ModelPool
    from train.base_model import pick_device

    torch.set_num_threads(room.threads or torch.get_num_threads())
    for name in ("transformers.models.gpt2.modeling_gpt2", "transformers.models.auto.modeling_auto"):
        import_module(name)  # now rather than at the first answer
    return ModelPool(None, room.capacity_bytes, pick_device())


def _answer(line: Connection, pool: Any) -> None:
    with line:
        try:
            kind, places, *rest = line.recv()
            panel = pool.seat(places)
            if kind == "open":
                line.send(("piece", (panel.voices, panel.way, panel.remote)))
            else:
                prompt, sampling, history, limit_s = rest
                for exchange in panel.ask(prompt, sampling, history, line.poll, limit_s):  # any word, or leaving, stops
                    line.send(("piece", exchange))
            line.send(("end", None))
        except (EOFError, OSError):
            return  # the page has no use for the rest
        except Exception as error:
            known = isinstance(error, UserError)
            if not known:
                traceback.print_exception(error, file=sys.stderr)
            _tell(line, ("refused" if known else "failed", str(error) if known else explain(error)))


def _tell(line: Connection, news: tuple[str, str]) -> None:
    try:
        line.send(news)
    except OSError:
        return
