"""What a session of Tinker's SDK samples from: bases, saved weights, and snapshots of the adapters that it trains."""

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inference.locations import ModelLocation
from recipes.run_names import shown_name
from serve.engine.resolver import PLAIN
from serve.errors import RequestError
from serve.training import tinker_models
from serve.training.tinker_models import TrainedModel

#: Of one model, so many snapshots are kept; older ones are removed.
SNAPSHOTS = 8


class Engine(Protocol):
    """What generates samples."""

    def add(self, location: ModelLocation) -> None:
        """Answer as the model at ``location`` where its reference is used."""
        ...

    def remove(self, reference: str) -> None:
        """Forget the location that was added for ``reference``."""
        ...


@dataclass(frozen=True)
class SamplingSession:
    """Weights to sample from: the engine's ``reference``, the base as the client calls it, and the weights' path.

    ``folder``: of a snapshot of the model ``model_id``.
    """

    id: str
    reference: str
    base: str
    path: str = ""
    model_id: str = ""
    folder: Path | None = None


class SessionSamplers:
    """The samplers of the session ``session_id`` of the project ``owner``.

    Args:
        folder: where snapshots are written.
        load: how the weights of their bases are held.
    """

    def __init__(self, session_id: str, owner: str, engine: Engine, folder: Path, load: str) -> None:
        self.owner = owner
        self.session_id, self._engine, self._folder, self._load = session_id, engine, folder, load
        self._found: dict[str, SamplingSession] = {}
        self._closed = False

    def get(self, sampler_id: str) -> SamplingSession:
        """The sampler.

        Raises:
            RequestError: there is none, or it was a snapshot that was removed for newer ones.
        """
        if sampler_id not in self._found:
            message = f"There is no sampler {sampler_id}: of one model, the newest {SNAPSHOTS} without a name are kept."
            raise RequestError(message, 404, code="not_found")
        return self._found[sampler_id]

    def of_base(self, number: int, base: str, name: str) -> SamplingSession:
        """A sampler of the base called ``name``, which the client calls ``base``."""
        return self._keep(SamplingSession(self._id(number), PLAIN + name, base))

    def of_weights(self, number: int, path: str) -> SamplingSession:
        """A sampler of saved weights; blocks while the registry is read.

        Raises:
            UserError: there are none at ``path``.
        """
        version = tinker_models.version_at(path, self.owner)
        base = shown_name(version.tags.get("base_model", ""))
        return self._keep(SamplingSession(self._id(number), version.reference, base, path))

    def snapshot(self, model: TrainedModel, number: int) -> SamplingSession:
        """A sampler of the weights of ``model`` as they are now; the oldest beyond some are removed."""
        sampler_id, folder = self._id(number), self._folder / secrets.token_hex(8)
        location = model.snapshot(folder, f"snapshot:{sampler_id}", self._load)
        self._engine.add(location)
        made = SamplingSession(sampler_id, location.info.reference, model.name, "", model.id, folder)
        for old in list(self._snapshots(model.id))[: 1 - SNAPSHOTS]:
            self._remove(old)
        self._keep(made)
        if self._closed:  # by the event loop, meanwhile
            self._remove(made)
        return made

    def _snapshots(self, model_id: str) -> Iterator[SamplingSession]:
        return (each for each in list(self._found.values()) if each.folder and each.model_id == model_id)

    def close(self) -> None:
        """Remove all of them."""
        self._closed = True
        for sampler in list(self._found.values()):
            self._remove(sampler)

    def _remove(self, sampler: SamplingSession) -> None:
        self._found.pop(sampler.id, None)
        if sampler.folder:
            self._engine.remove(sampler.reference)
            shutil.rmtree(sampler.folder, ignore_errors=True)

    def _keep(self, sampler: SamplingSession) -> SamplingSession:
        return self._found.setdefault(sampler.id, sampler)

    def _id(self, number: int) -> str:
        return f"{self.session_id}:sample:{number}"
