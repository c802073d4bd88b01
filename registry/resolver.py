"""Finds the folders of the weights that references name; no model is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.errors import UserError, explain
from inference.locations import ModelLocation, UnavailableModel
from inference.transcript import ModelInfo
from inference.weights import weights_bytes, weights_digest
from registry.errors import TrackingUnavailable
from registry.references import BASE, FindBase, ModelSource, find, find_base_folder


@dataclass
class Resolver:
    """Finds models by reference; ``find_base`` finds the folder of a base by its name, ``load``: how such are held."""

    find_base: FindBase
    load: str = "auto"
    _known: dict[str, ModelSource] = field(default_factory=dict)

    def look(self, references: Sequence[str]) -> tuple[ModelLocation | UnavailableModel, ...]:
        """One location a reference, or why it is unavailable; one that is does not affect the others.

        The registry is asked anew each time, so that a deleted version is noticed. Where it is down, models that were
        found before keep their location, and the connection is tried once.
        """
        failures: list[TrackingUnavailable] = []
        return tuple(self._place(reference, failures) for reference in references)

    def place(self, reference: str) -> ModelLocation:
        """The location of one reference.

        Raises:
            UserError: it names nothing, or the model is unavailable.
            TrackingUnavailable: the registry is down, and this was not found before.
        """
        return self._checked(self._source(reference, []))

    def plain(self, name: str, reference: str) -> ModelLocation:
        """The location of a base model by its own name; no version of it need exist.

        Raises:
            UserError: it is unavailable.
        """
        folder = self.find_base(name)
        digest = weights_digest(folder)
        return self._checked(ModelSource(reference, BASE, folder, name, base_digest=digest, load=self.load))

    def _place(self, reference: str, failures: list[TrackingUnavailable]) -> ModelLocation | UnavailableModel:
        try:
            return self._checked(self._source(reference, failures))
        except Exception as error:  # files of other tools can make a library raise anything
            return UnavailableModel(reference, explain(error))

    def _source(self, reference: str, failures: list[TrackingUnavailable]) -> ModelSource:
        try:
            if failures:
                raise failures[0]
            self._known[reference] = find(reference, self.find_base)
        except TrackingUnavailable as error:
            failures.append(error)
            if reference not in self._known:
                raise
        except UserError:
            self._known.pop(reference, None)
            raise
        return self._known[reference]

    def _checked(self, source: ModelSource) -> ModelLocation:
        if source.remote:
            remote = ModelInfo(source.reference, "openai", "", source.base_name, "", 0)
            return ModelLocation(remote, remote=source.remote)
        folder = source.folder
        assert folder
        digest, size = weights_digest(folder), weights_bytes(folder)
        more: dict[str, Any] = {"stop_token_ids": source.stop_token_ids, "load": source.load, "scale": source.scale}
        if source.kind == "lora":
            base = find_base_folder(source, self.find_base)
            model = ModelInfo(source.reference, "lora", digest, source.base_name, weights_digest(base), size)
            return ModelLocation(model, folder, base, base, source.template, **more)
        model = ModelInfo(source.reference, source.kind, digest, source.base_name, source.base_digest, size)
        return ModelLocation(model, folder, folder, source.tokenizer or folder, source.template, **more)
