"""Sessions of Tinker's SDK: the adapters and samplers of each, their limits, and the end of those that are idle."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import UserError
from recipes.run_names import shown_name
from serve import model_names
from serve.config import ServeConfig
from serve.errors import RequestError
from serve.ids import fresh_id
from serve.model_names import ModelNames
from serve.training import tinker_models
from serve.training.tinker_futures import Futures, Reply
from serve.training.tinker_models import Bases, Kind, LoraSettings, TrainedModel
from serve.training.tinker_samplers import Engine, SamplingSession, SessionSamplers

#: A session that sends nothing for so long has ended; the SDK sends a heartbeat every 10 seconds.
IDLE_S = 300.0
MAX_SESSIONS = 100
GONE = (
    "the server was started again since, or the session was finished, or nothing came from it for "
    f"{IDLE_S:.0f} seconds. Make a new ServiceClient; saved weights are kept: "
    "create_training_client_from_state_with_optimizer goes on from them"
)


@dataclass(eq=False)
class Session:
    """One client. ``models``: by id, None for one that is being made."""

    id: str
    owner: str
    seen_s: float
    samplers: SessionSamplers
    models: dict[str, TrainedModel | None] = field(default_factory=dict)


class TinkerSessions:
    """The sessions of one server; the methods are called in its event loop, what trains runs in a thread.

    Args:
        names: of the bases.
        engine: what generates samples.
        outputs: folder of runs, and of snapshots while their sessions last.
        clock: seconds, ascending.
    """

    def __init__(
        self,
        config: ServeConfig,
        names: ModelNames,
        engine: Engine,
        outputs: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.names, self.outputs = config, names, outputs
        self.futures = Futures()
        self._engine, self._clock, self._bases = engine, clock, Bases(config.load)
        self._sessions: dict[str, Session] = {}
        self._folder = outputs / "serve" / "snapshots"
        shutil.rmtree(self._folder, ignore_errors=True)  # of a server that was killed

    def create(self, owner: str) -> Session:
        """A new session of the key or project ``owner``.

        Raises:
            RequestError: there are as many as may be.
        """
        self.end_idle()
        if len(self._sessions) >= MAX_SESSIONS:
            raise _full(f"{MAX_SESSIONS} sessions are open already; finish some with ServiceClient.close()")
        session_id = fresh_id("session-")
        samplers = SessionSamplers(session_id, owner, self._engine, self._folder, self.config.load)
        session = self._sessions[session_id] = Session(session_id, owner, self._clock(), samplers)
        return session

    def session(self, owner: str, session_id: str) -> Session:
        """The session, which is not idle then.

        Raises:
            RequestError: ``owner`` has no such session.
        """
        found = self._sessions.get(session_id)
        if found is None or found.owner != owner:
            raise RequestError(f"There is no session {session_id}: {GONE}.", 404, param="session_id", code="not_found")
        found.seen_s = self._clock()
        return found

    def finish(self, owner: str, session_id: str) -> None:
        """End the session: its models and snapshots are removed, saved weights are kept."""
        self._end(self.session(owner, session_id))

    def end_idle(self) -> None:
        """End the sessions that nothing came from for ``IDLE_S`` seconds."""
        until = self._clock() - IDLE_S
        for session in [each for each in self._sessions.values() if each.seen_s < until]:
            self._end(session)

    def _end(self, session: Session) -> None:
        del self._sessions[session.id]
        self.futures.drop_session(session.id)
        session.models.clear()
        session.samplers.close()

    def sampler(self, owner: str, sampler_id: str) -> SamplingSession:
        """The sampler.

        Raises:
            RequestError: ``owner`` has none of this id, or it was removed.
        """
        return self.session(owner, sampler_id.partition(":")[0]).samplers.get(sampler_id)

    def close(self) -> None:
        """Run nothing more."""
        self.futures.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # Models

    def create_model(
        self, owner: str, session_id: str, number: int, base: str, lora: LoraSettings, tags: Mapping[str, str]
    ) -> str:
        """Begin to make a fresh adapter on the base that ``base`` means; returns the model's id.

        ``tags``: of the versions that it is saved as.

        Raises:
            RequestError: the base is unknown, or as many models are trained as may be.
        """
        name = self.names.base_of(base)
        if name is None:
            listed = ", ".join(self.names.listed()[:8])
            message = f"base_model: there is no base {base!r} here. There is {listed}; models=NAME=BASE adds names."
            raise RequestError(message, 404, param="base_model", code="model_not_found")

        def make(fields: dict[str, Any]) -> TrainedModel:
            return tinker_models.create(self._bases, name, lora, tags=tags, **fields)

        return self._make(self.session(owner, session_id), number, base, make, "create_model")

    def load_model(
        self, owner: str, session_id: str, number: int, path: str, with_optimizer: bool, tags: Mapping[str, str]
    ) -> str:
        """Begin to load the adapter at ``path`` as a new model; returns the model's id; raises as ``create_model``."""

        def make(fields: dict[str, Any]) -> TrainedModel:
            version = tinker_models.version_at(path, owner)
            base = shown_name(version.tags.get("base_model", ""))
            fields |= {"name": base, "registered": _registered(base)}
            return tinker_models.load(self._bases, version, with_optimizer, tags=tags, **fields)

        return self._make(self.session(owner, session_id), number, "", make, "load_weights", {"path": path})

    def _make(
        self,
        session: Session,
        number: int,
        base: str,
        make: Callable[[dict[str, Any]], TrainedModel],
        kind: str,
        more: Mapping[str, Any] | None = None,
    ) -> str:
        """Begin to make the model ``number`` of ``session`` by ``make``, which gets fields of ``TrainedModel``."""
        model_id = f"{session.id}:train:{number}"
        if model_id in session.models:
            return model_id
        self._require_room()
        fields = {
            "id": model_id,
            "name": base,
            "registered": _registered(base),
            "organization": self.config.organization,
            "outputs": self.outputs,
            "project": session.owner,
        }

        def work() -> Reply:
            try:
                session.models[model_id] = make(fields)
            except BaseException:
                session.models.pop(model_id, None)
                raise
            return {"model_id": model_id, "type": kind, **(more or {})}

        self.futures.submit(request_id(model_id, 0), session.id, 0, work)
        session.models[model_id] = None
        return model_id

    def _require_room(self) -> None:
        self.end_idle()
        trained = sum(len(each.models) for each in self._sessions.values())
        if trained >= self.config.tinker_models:
            more = f"{trained} models are trained already, and tinker_models is {self.config.tinker_models}"
            raise _full(f"{more}; models are freed by ServiceClient.close(), and after {IDLE_S:.0f} idle seconds")

    def submit(
        self, owner: str, model_id: str, number: int | None, size: int, work: Callable[[TrainedModel], Reply]
    ) -> str:
        """Run ``work`` on a model after its earlier requests; returns the id of request ``number``.

        Raises:
            RequestError: there is no such model, or too many requests wait.
        """
        session = self.session_of(owner, model_id)
        if number is None or number < 1:
            raise RequestError("seq_id must be at least 1", param="seq_id")

        def run() -> Reply:
            model = session.models.get(model_id)
            if model is None:
                raise UserError(f"the model {model_id} could not be made, or its session has ended")
            return work(model)

        self.futures.submit(request_id(model_id, number), session.id, size, run)
        return request_id(model_id, number)

    def is_known(self, model_id: str, number: int) -> bool:
        """Whether a request came before."""
        return self.futures.session_of(request_id(model_id, number)) is not None

    def model(self, owner: str, model_id: str) -> TrainedModel:
        """A model that is there.

        Raises:
            RequestError: there is none.
        """
        found = self.session_of(owner, model_id).models.get(model_id)
        if found is None:
            raise RequestError(f"The model {model_id} is not there yet", 404, param="model_id", code="not_found")
        return found

    def session_of(self, owner: str, model_id: str) -> Session:
        """The session of a model, which is not idle then.

        Raises:
            RequestError: ``owner`` has no such model.
        """
        session = self._sessions.get(model_id.partition(":")[0])
        if session is None or session.owner != owner or model_id not in session.models:
            raise RequestError(f"There is no model {model_id}: {GONE}.", 404, param="model_id", code="not_found")
        session.seen_s = self._clock()
        return session

    def save(self, model: TrainedModel, kind: Kind, name: str, overwrite: bool, tags: Mapping[str, str]) -> str:
        """Register the weights of ``model``, in the thread; returns their path.

        Raises:
            UserError: there are weights of this name, and they may not be replaced.
        """
        path = model.path(kind, name)
        earlier = tinker_models.versions.find_tagged(tinker_models.TINKER_PATH, path)
        if earlier and not overwrite:
            raise UserError(f"there are weights at {path} already: choose another name, or overwrite=True")
        model.save(kind, name, tags)
        if earlier:  # its path is the new one's now
            tinker_models.versions.set_tags(earlier, {tinker_models.TINKER_PATH: ""})
        return path

    def reload(self, owner: str, model: TrainedModel, path: str, with_optimizer: bool) -> None:
        """Replace the weights of ``model`` by those at ``path``, in the thread.

        Raises:
            UserError: there are none, or they are of another base.
        """
        version = tinker_models.version_at(path, owner)
        if version.tags.get("base_digest") != model.trainer.base.source.digest:
            raise UserError(f"the weights at {path} are of another base than {model.name}")
        tinker_models.replace_weights(self._bases, model, version, with_optimizer)


def request_id(owner_id: str, number: int) -> str:
    """The id of request ``number`` of a model or sampler: a request that is sent again has it again."""
    return f"{owner_id}:{number}"


def _registered(base: str) -> str:
    return model_names.registered_name(base, "tinker")


def _full(message: str) -> RequestError:
    return RequestError(f"{message}.", 400, code="limit_reached")
