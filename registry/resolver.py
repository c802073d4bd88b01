"""From references to the places of their weights: the registry's half of speaking, which needs no model in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from data.errors import UserError, explain
from inference.locations import ModelLocation, UnavailableModel
from inference.transcript import ModelInfo
from inference.weights import weights_bytes, weights_digest
from registry.references import BASE, FindBase, ModelSource, find, find_base_folder
from registry.runs import TrackingUnavailable


@dataclass
class Resolver:
    """Knows where the voices are; ``find_base`` finds bases by name."""

    find_base: FindBase
    _known: dict[str, ModelSource] = field(default_factory=dict)

    def look(self, references: Sequence[str]) -> tuple[ModelLocation | UnavailableModel, ...]:
        """One place a reference; of those that can't be had, why, and the others are not held up by it.

        Each is asked for anew, so that a deleted version is noticed; a registry that is down stops nobody who was found
        before, and is waited for once.
        """
        away: list[TrackingUnavailable] = []
        return tuple(self._place(reference, away) for reference in references)

    def place(self, reference: str) -> ModelLocation:
        """The place of one reference.

        Raises:
            UserError: it names nothing, or what it names can't be had.
            TrackingAway: the registry is down, and this was not found before.
        """
        return self._checked(self._source(reference, []))

    def plain(self, name: str, reference: str) -> ModelLocation:
        """The place of a base model by its own name, where no version stands on it.

        Raises:
            UserError: it can't be had.
        """
        folder = self.find_base(name)
        return self._checked(ModelSource(reference, BASE, folder, name, base_digest=weights_digest(folder)))

    def _place(self, reference: str, away: list[TrackingUnavailable]) -> ModelLocation | UnavailableModel:
        try:
            return self._checked(self._source(reference, away))
        except Exception as error:  # whatever a stranger's files make a library raise ends this pane, not the page
            return UnavailableModel(reference, explain(error))

    def _source(self, reference: str, away: list[TrackingUnavailable]) -> ModelSource:
        try:
            if away:
                raise away[0]
            self._known[reference] = find(reference, self.find_base)
        except TrackingUnavailable as error:
            away.append(error)
            if reference not in self._known:
                raise
        except UserError:
            self._known.pop(reference, None)
            raise
        return self._known[reference]

    def _checked(self, source: ModelSource) -> ModelLocation:
        if source.remote:
            return ModelLocation(
                ModelInfo(source.reference, "openai", "", source.base_name, "", 0), remote=source.remote
            )
        folder = source.folder
        assert folder
        digest, size = weights_digest(folder), weights_bytes(folder)
        if source.kind == "lora":
            base = find_base_folder(source, self.find_base)
            voice = ModelInfo(source.reference, "lora", digest, source.base_name, weights_digest(base), size)
            return ModelLocation(voice, folder, base, base, source.template)
        voice = ModelInfo(source.reference, source.kind, digest, source.base_name, source.base_digest, size)
        return ModelLocation(voice, folder, folder, source.tokenizer or folder, source.template)
