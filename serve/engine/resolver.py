"""Where a model's weights lie: asked in threads of its own, because the registry can be slow, and once for a crowd."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from data.errors import UserError, explain
from inference.locations import ModelLocation
from registry.errors import TrackingUnavailable
from registry.resolver import Resolver
from serve.engine.types import Broken, UnknownModel

PLAIN = "base:"
FRESH_S = 1.0  # so long an answer of the registry holds


class ModelFinder:
    """Finds places; ``find_base`` finds the folder of a base model by its name."""

    def __init__(self, find_base: Callable[[str], Path]):
        self._guide = Resolver(find_base)
        self._looks: dict[str, tuple[float, Future[ModelLocation]]] = {}
        self._threads = ThreadPoolExecutor(2, "finder")

    async def find(self, reference: str) -> ModelLocation:
        """The place of ``reference``: a version, its base or a checkpoint, or ``base:NAME``.

        Raises:
            UnknownModel: there is none, or it can't be had.
            TrackingUnavailable: the registry is down, and this one was never asked for.
            Broken: the search failed in a way that nobody foresaw.
        """
        now = time.monotonic()
        since, found = self._looks.get(reference, (0.0, None))
        if found is None or (found.done() and now - since > FRESH_S):
            self._looks = {name: each for name, each in self._looks.items() if now - each[0] <= FRESH_S}
            found = self._threads.submit(self._look, reference)
            self._looks[reference] = now, found
        return await asyncio.shield(asyncio.wrap_future(found))  # others may wait for it, too

    def close(self) -> None:
        """Look for nothing more."""
        self._threads.shutdown(wait=False)

    def _look(self, reference: str) -> ModelLocation:
        try:
            if not reference.startswith(PLAIN):
                place = self._guide.place(reference)
            elif reference == PLAIN:
                raise UnknownModel(f"{reference} names no base model: write {PLAIN}bundled")
            else:
                place = self._guide.plain(reference.removeprefix(PLAIN), reference)
        except TrackingUnavailable:
            raise
        except UserError as error:
            raise UnknownModel(str(error)) from error
        except Exception as error:  # a stranger's files can make a library raise anything
            raise Broken(f"{reference} can't be looked up: {explain(error)}") from error
        if place.remote:
            raise UnknownModel(f"{reference} is {place.remote[0]}, a model of another server: ask that one")
        return place
