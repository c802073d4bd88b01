"""``/v1/fine_tuning``."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from serve.errors import RequestError
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT, After, Id, IdempotencyKey, Limit, Metadata, Name, Text
from serve.state import State
from serve.store import job_checks, jobs
from serve.training import lengths

METADATA_FILTER = re.compile(r"metadata\[(.*)\]", re.DOTALL)

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number or auto")
    return value


Auto = Annotated[Literal["auto"], IF_TEXT]
Beta = Annotated[float, BeforeValidator(_number), Field(gt=0, le=2, allow_inf_nan=False)]
Multiplier = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1000, allow_inf_nan=False)]


class Hyperparameters(BaseModel):
    """``auto``, or numbers."""

    model_config = ConfigDict(extra="forbid")

    n_epochs: Annotated[Auto | Annotated[StrictInt, Field(ge=1, le=50), ELSE], BY_KIND] | None = None
    batch_size: Annotated[Auto | Annotated[StrictInt, Field(ge=1, le=256), ELSE], BY_KIND] | None = None
    learning_rate_multiplier: Annotated[Auto | Annotated[Multiplier, ELSE], BY_KIND] | None = None


class Settings(BaseModel):
    """The settings of supervised training."""

    model_config = ConfigDict(extra="forbid")

    hyperparameters: Hyperparameters | None = None


class DpoHyperparameters(Hyperparameters):
    """``auto``, or numbers."""

    beta: Annotated[Auto | Annotated[Beta, ELSE], BY_KIND] | None = None


class DpoSettings(BaseModel):
    """The settings of training on preferences."""

    model_config = ConfigDict(extra="forbid")

    hyperparameters: DpoHyperparameters | None = None


class Method(BaseModel):
    """The training method."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Settings | None = None
    dpo: DpoSettings | None = None
    reinforcement: dict[str, Any] | None = None


class WandB(BaseModel):
    """The Weights & Biases project of an integration."""

    project: Name
    name: Text | None = None
    entity: Text | None = None
    tags: list[Text] | None = None


class Integration(BaseModel):
    """An integration, which is accepted and has no effect: the curves are in MLflow."""

    type: Literal["wandb"]
    wandb: WandB


class JobRequest(BaseModel):
    """The request of a new job."""

    model: Name
    training_file: Name
    validation_file: Name | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**31)] | None = None
    suffix: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    metadata: Metadata | None = None
    integrations: Annotated[list[Integration], Field(max_length=8)] | None = None

    def fields(self) -> dict[str, Any]:
        """What ``serve.store.jobs.create`` takes.

        Raises:
            RequestError: the method is not supported.
        """
        method = self.method or Method(type="supervised")
        if method.type == "reinforcement":
            message = "this server trains by the methods supervised and dpo; reinforcement is not supported"
            raise RequestError(message, param="method", code="unsupported_method")
        own, other = method.supervised, "dpo"
        if method.type == "dpo":
            own, other = method.dpo, "supervised"
        if getattr(method, other):
            message = f"method.{other} has settings, and method.type is {method.type}: give method.{method.type}"
            raise RequestError(message, param=f"method.{other}")
        kind = DpoHyperparameters if method.type == "dpo" else Hyperparameters
        given = (own and own.hyperparameters) or kind(**(self.hyperparameters or Hyperparameters()).model_dump())
        integrations = [
            {"type": each.type, "wandb": {**each.wandb.model_dump(), "run_id": None}}
            for each in self.integrations or ()
        ]
        return {
            **self.model_dump(include={"model", "training_file", "validation_file", "seed", "suffix"}),
            "method": method.type,
            "hyperparameters": given.model_dump(),
            "metadata": self.metadata or {},
            "integrations": integrations,
        }


@router.post("")
def create(request: Request, state: State, body: JobRequest, idempotency_key: IdempotencyKey = "") -> dict[str, Any]:
    """Create a job; it is queued."""
    config, fields = state.config, body.fields()
    base = state.names.base_of(fields["model"])
    warnings = lengths.warnings_of(state.database, fields, base) if base else {}
    start = "" if base else state.catalog.trained(fields["model"])
    tokens, allowance = job_checks.estimated_tokens(state.database, fields), request.scope["allowance"]
    allowance.take_training_tokens(tokens)
    try:
        job_id = jobs.create(
            state.database, fields, state.names, config.organization, config.queue, idempotency_key, warnings, start
        )
    except RequestError:
        allowance.return_training_tokens(tokens)
        raise
    state.supervisor.wake()
    return jobs.get(state.database, job_id)


@router.get("")
def listing(request: Request, state: State, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """Jobs, newest first; ``metadata[KEY]=VALUE`` selects those that have it, ``metadata=null`` those without any."""
    found = {}
    for name, value in request.query_params.multi_items():
        match = METADATA_FILTER.fullmatch(name)
        if match:
            found[match[1].replace("\0", "")] = value.replace("\0", "")
    bare = request.query_params.get("metadata") == "null"
    return jobs.listing(state.database, after, limit, found, bare)


@router.get("/{job_id}")
def retrieve(state: State, job_id: Id) -> dict[str, Any]:
    """A job's object."""
    return jobs.get(state.database, job_id)


@router.post("/{job_id}/cancel")
def cancel(state: State, job_id: Id) -> dict[str, Any]:
    """Cancel a job."""
    found = jobs.cancel(state.database, job_id)
    state.supervisor.wake()
    return found


@router.post("/{job_id}/pause")
def pause(state: State, job_id: Id) -> dict[str, Any]:
    """Pause a job; its last resume point is kept."""
    found = jobs.pause(state.database, job_id)
    state.supervisor.wake()
    return found


@router.post("/{job_id}/resume")
def resume(state: State, job_id: Id) -> dict[str, Any]:
    """Resume a paused job."""
    found = jobs.resume(state.database, job_id)
    state.supervisor.wake()
    return found


@router.get("/{job_id}/events")
def events(state: State, job_id: Id, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """The events of a job, newest first."""
    return jobs.event_listing(state.database, job_id, after, limit)


@router.get("/{job_id}/step_metrics.csv", response_class=Response)
def step_metrics(state: State, job_id: Id) -> Response:
    """The metrics of each step so far as plain CSV; the job's result file, as OpenAI's, is this CSV in base64."""
    return Response(jobs.step_metrics(state.database, job_id), media_type="text/csv")


@router.get("/{job_id}/checkpoints")
def checkpoints(state: State, job_id: Id, after: After = None, limit: Limit = 10) -> dict[str, Any]:
    """The checkpoints of a finished job, newest first: epochs whose weights are models of their own."""
    return jobs.checkpoint_listing(state.database, job_id, after, limit)
