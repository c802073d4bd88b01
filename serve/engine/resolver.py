"""Where a model's weights are: looked up in threads, for the registry can be slow, and once for concurrent requests."""

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
FRESH_S = 1.0  # for so long an answer of the registry is used again


class ModelResolver:
    """Finds the locations of models; ``find_base`` finds a base by its name, ``load``: how such are held."""

    def __init__(self, find_base: Callable[[str], Path], load: str = "auto") -> None:
        self._resolver = Resolver(find_base, load)
        self._lookups: dict[str, tuple[float, Future[ModelLocation]]] = {}
        self._threads = ThreadPoolExecutor(2, "resolver")
        #: Models that no registry knows, by reference.
        self.unregistered: dict[str, ModelLocation] = {}

    async def locate(self, reference: str) -> ModelLocation:
        """The location of ``reference``: a version, its base or a checkpoint, or ``base:NAME``.

        Raises:
            UnknownModel: there is none, or its files are missing.
            TrackingUnavailable: the registry is down, and this model was not looked up before.
            Broken: the lookup failed unexpectedly.
        """
        if reference in self.unregistered:
            return self.unregistered[reference]
        now = time.monotonic()
        since, found = self._lookups.get(reference, (0.0, None))
        if found is None or (found.done() and now - since > FRESH_S):
            self._lookups = {name: each for name, each in self._lookups.items() if now - each[0] <= FRESH_S}
            found = self._threads.submit(self._look_up, reference)
            self._lookups[reference] = now, found
        return await asyncio.shield(asyncio.wrap_future(found))  # others may wait for it, too

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False)

    def _look_up(self, reference: str) -> ModelLocation:
        try:
            if not reference.startswith(PLAIN):
                location = self._resolver.place(reference)
            elif reference == PLAIN:
                raise UnknownModel(f"{reference} names no base model: write {PLAIN}bundled")
            else:
                location = self._resolver.plain(reference.removeprefix(PLAIN), reference)
        except TrackingUnavailable:
            raise
        except UserError as error:
            raise UnknownModel(str(error)) from error
        except Exception as error:  # broken files can make a library raise anything
            raise Broken(f"{reference} can't be looked up: {explain(error)}") from error
        if location.remote:
            raise UnknownModel(f"{reference} is {location.remote[0]}, a model of another server: ask that one")
        return location
