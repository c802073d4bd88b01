"""Which models there are, and what the chat engine knows them by."""

import threading
import time
from typing import Any

from data.errors import UserError
from registry import versions
from registry.runs import TrackingUnavailable
from serve.engine.resolver import PLAIN
from serve.errors import RequestError, no_model
from serve.model_names import ModelNames

OWNER = "parley"
FRESH_S = 2.0  # so long the registry is not asked again for the same name
MOST_KNOWN = 1000


class ModelCatalog:
    """Finds models by what a request calls them: a fine-tuned model's id, a version's reference, or a base's name."""

    def __init__(self, names: ModelNames, started_s: int) -> None:
        self.names, self.started_s = names, started_s
        self._known: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def reference(self, model: str) -> str:
        """What the engine knows ``model`` by. Asks the registry, so not from an event loop.

        Raises:
            Fault: there is no such model, or the registry does not answer.
        """
        base = self.names.base_of(model)
        if base is not None:
            return PLAIN + base
        with self._lock:
            at_s, found = self._known.get(model, (0.0, ""))
        if found and time.monotonic() - at_s < FRESH_S:
            return found
        version, part = self._version(model)
        found = f"{version.name}/{version.number}" + (f":{part}" if part else "")
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[model] = time.monotonic(), found
        return found

    def _version(self, model: str) -> tuple[versions.Version, str]:
        """The version that ``model`` names, and which part of it: empty, ``base`` or a step."""
        from registry.references import split

        try:
            if model.startswith("ft:"):
                found = versions.find_openai(model)
                if found is None:
                    raise no_model(model)
                return found, ""
            return split(model)
        except TrackingUnavailable as error:
            raise away(error) from error
        except RequestError:
            raise
        except UserError as error:
            raise no_model(model, str(error)) from error

    def listing(self) -> dict[str, Any]:
        """All models: bases, names that stand for one, and every version."""
        bases = [_describe(name, self.started_s) for name in self.names.listed()]
        try:
            found = versions.search()
        except TrackingUnavailable as error:
            raise away(error) from error
        made = [_describe(_id_of(version), int(at.timestamp())) for version, at in found]
        return {"object": "list", "data": bases + made}

    def get(self, model: str) -> dict[str, Any]:
        """The model's object.

        Raises:
            Fault: there is no such model.
        """
        if self.names.base_of(model) is not None:
            return _describe(model, self.started_s)
        version, _ = self._version(model)
        made = {each.number: at for each, at in versions.search(version.name)}.get(version.number)
        return _describe(model, int(made.timestamp()) if made else self.started_s)

    def delete(self, model: str) -> dict[str, Any]:
        """Take a version out of the registry; its run, with the weights, stays in MLflow.

        Raises:
            Fault: there is no such version, or it is a base.
        """
        if self.names.base_of(model) is not None:
            raise RequestError(
                f"{model} is a base model, which can't be deleted", 403, param="model", code="not_deletable"
            )
        version, part = self._version(model)
        if part:
            raise RequestError(f"{model} is a part of {version.name}/{version.number}; delete that", param="model")
        try:
            versions.delete(version)
        except TrackingUnavailable as error:
            raise away(error) from error
        with self._lock:
            self._known.clear()
        return {"id": model, "object": "model", "deleted": True}


def away(error: TrackingUnavailable) -> RequestError:
    """503 while the registry does not answer."""
    return RequestError(str(error), 503, type="server_error", code="registry_away", headers={"retry-after": "5"})


def _id_of(version: versions.Version) -> str:
    return version.tags.get(versions.OPENAI_ID) or f"{version.name}/{version.number}"


def _describe(model: str, created_s: int) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": created_s, "owned_by": OWNER}
