"""The models of this server by their ids, and the references by which the engine loads them."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from data.errors import UserError
from registry import versions
from registry.errors import TrackingUnavailable
from serve.base_facts import facts_of
from serve.engine.resolver import PLAIN
from serve.errors import RequestError, no_model
from serve.model_names import ModelNames
from serve.store import audit, projects
from serve.store.database import Database

OWNER = "parley"
CACHE_S = 2.0  # for so long a model's reference is not looked up in the registry again
MAX_CACHED = 1000


class ModelCatalog:
    """Finds models by the names in requests: a fine-tuned model's id, a version's reference, or a base's name.

    Args:
        names: of the bases.
        started_s: Unix time of the server's start, which is the bases' time of creation.
        database: of the projects, each of which sees its own models.
    """

    def __init__(self, names: ModelNames, started_s: int, database: Database) -> None:
        self.names, self.started_s, self._database = names, started_s, database
        self._cached: dict[tuple[str, str], tuple[float, str]] = {}
        self._lock = threading.Lock()

    def reference(self, model: str) -> str:
        """The engine's reference of ``model``. Blocks while the registry is read, so not for an event loop.

        Raises:
            RequestError: there is no such model, or the registry does not answer.
        """
        base = self.names.base_of(model)
        if base is not None:
            return PLAIN + base
        key = projects.current(), model
        with self._lock:
            at_s, found = self._cached.get(key, (0.0, ""))
        if found and time.monotonic() - at_s < CACHE_S:
            return found
        version, part = self._version(model)
        found = version.reference + (f":{part}" if part else "")
        with self._lock:
            if len(self._cached) >= MAX_CACHED:
                self._cached.clear()
            self._cached[key] = time.monotonic(), found
        return found

    def _version(self, model: str) -> tuple[versions.Version, str]:
        """The version that ``model`` names, and which part of it: empty, ``base`` or a step."""
        from registry.references import split

        with _registry():
            if model.startswith("ft:"):
                found = versions.find_openai(model)
                if found is None:
                    raise no_model(model)
                version, part = found, ""
            else:
                try:
                    version, part = split(model)
                except TrackingUnavailable:
                    raise
                except UserError as error:
                    raise no_model(model, str(error)) from error
        if not self._visible([version]):
            raise no_model(model)
        return version, part

    def _visible(self, found: Sequence[versions.Version]) -> list[versions.Version]:
        """Those that the request's project may use."""
        with self._database.read() as connection:
            return [
                each
                for each in found
                if projects.sees(connection, each.name, each.tags, each.tags.get(versions.OPENAI_ID))
            ]

    def trained(self, model: str) -> str:
        """The URI of the version that ``model`` names, for a job that continues from it; empty where it names none.

        Raises:
            RequestError: the registry does not answer.
        """
        try:
            version, part = self._version(model)
        except RequestError as error:
            if error.status == 404:
                return ""
            raise
        return "" if part or version.tags.get("kind") in ("openai", "tfidf") else version.uri

    def listing(self) -> dict[str, Any]:
        """All models: bases, their aliases, and every version."""
        bases = [self._base(name) for name in self.names.listed()]
        with _registry():
            found = versions.search()
        visible = set(map(id, self._visible([each for each, _ in found])))
        registered = [
            _describe(_id_of(each), int(at.timestamp()), _base_of(each)) for each, at in found if id(each) in visible
        ]
        return {"object": "list", "data": bases + registered}

    def _base(self, name: str) -> dict[str, Any]:
        return _describe(name, self.started_s, self.names.base_of(name))

    def get(self, model: str) -> dict[str, Any]:
        """The model's object.

        Raises:
            RequestError: there is no such model, or the registry does not answer.
        """
        if self.names.base_of(model) is not None:
            return self._base(model)
        version, _ = self._version(model)
        with _registry():
            created = {each.number: at for each, at in versions.search(version.name)}.get(version.number)
        return _describe(model, int(created.timestamp()) if created else self.started_s, _base_of(version))

    def delete(self, model: str) -> dict[str, Any]:
        """Delete a version from the registry; its run, with the weights, stays in MLflow.

        Raises:
            RequestError: there is no such version, it is a base, or the registry does not answer.
        """
        if self.names.base_of(model) is not None:
            raise RequestError(
                f"{model} is a base model, which can't be deleted", 403, param="model", code="not_deletable"
            )
        version, part = self._version(model)
        if part:
            raise RequestError(f"{model} is a part of {version.reference}; delete that", param="model")
        project = projects.current()
        if project not in (projects.DEFAULT, version.tags.get("project")):
            raise RequestError(f"{model} is not a model of the project {project}, so it can't be deleted", 403)
        with _registry():
            versions.delete(version)
        with self._database.write() as connection:
            audit.record(connection, "model.deleted", model)
        with self._lock:
            self._cached.clear()
        return {"id": model, "object": "model", "deleted": True}


@contextmanager
def _registry() -> Iterator[None]:
    """Report within that the registry does not answer as an error of the request."""
    try:
        yield
    except TrackingUnavailable as error:
        raise registry_unavailable(error) from error


def registry_unavailable(error: TrackingUnavailable) -> RequestError:
    """503 while the registry does not answer."""
    return RequestError(str(error), 503, type="server_error", code="registry_away", headers={"retry-after": "5"})


def _id_of(version: versions.Version) -> str:
    return version.tags.get(versions.OPENAI_ID) or version.reference


def _base_of(version: versions.Version) -> str | None:
    """The base whose positions and defaults a version has; None for one of another server."""
    return None if version.tags.get("kind") == "openai" else version.tags.get("base_model")


def _describe(model: str, created_s: int, base: str | None) -> dict[str, Any]:
    """OpenAI's object of a model, with its positions and its base's own defaults of sampling where they are known."""
    facts = facts_of(base) if base else None
    known = {"max_model_len": facts.positions, "default_sampling_params": facts.sampling} if facts else {}
    return {"id": model, "object": "model", "created": created_s, "owned_by": OWNER, **known}
