"""``/v1/fine_tuning``."""

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from serve.errors import RequestError
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT, After, Id, Limit, Metadata, Name, Text
from serve.state import Here
from serve.store import jobs

DPO = "this server trains by the supervised method only; dpo is not among what it can do"
REINFORCEMENT = "this server trains by the supervised method only; reinforcement is not among what it can do"
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]
FILTER = re.compile(r"metadata\[(.*)\]", re.DOTALL)

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number or auto")
    return value


Auto = Annotated[Literal["auto"], IF_TEXT]
Multiplier = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1000, allow_inf_nan=False)]


class Hyperparameters(BaseModel):
    """``auto``, or numbers."""

    model_config = ConfigDict(extra="forbid")

    n_epochs: Annotated[Auto | Annotated[StrictInt, Field(ge=1, le=50), ELSE], BY_KIND] | None = None
    batch_size: Annotated[Auto | Annotated[StrictInt, Field(ge=1, le=256), ELSE], BY_KIND] | None = None
    learning_rate_multiplier: Annotated[Auto | Annotated[Multiplier, ELSE], BY_KIND] | None = None


class Settings(BaseModel):
    """Of one method."""

    hyperparameters: Hyperparameters | None = None


class Method(BaseModel):
    """How it is taught."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Settings | None = None
    dpo: dict[str, Any] | None = None
    reinforcement: dict[str, Any] | None = None


class WandB(BaseModel):
    """Where OpenAI would send curves to."""

    project: Name
    name: Text | None = None
    entity: Text | None = None
    tags: list[Text] | None = None


class Integration(BaseModel):
    """Taken, and left aside: the curves are in MLflow."""

    type: Literal["wandb"]
    wandb: WandB


class JobRequest(BaseModel):
    """A job to be made."""

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
            Fault: the method is none that is known here.
        """
        method = self.method or Method(type="supervised")
        if method.type != "supervised":
            raise RequestError(
                DPO if method.type == "dpo" else REINFORCEMENT, param="method", code="unsupported_method"
            )
        given = (method.supervised and method.supervised.hyperparameters) or self.hyperparameters or Hyperparameters()
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
def create(here: Here, asked: JobRequest, idempotency_key: Key = "") -> dict[str, Any]:
    """Make a job; it is trained when its turn comes."""
    config = here.config
    job_id = jobs.create(here.database, asked.fields(), here.names, config.organization, config.queue, idempotency_key)
    here.foreman.look()
    return jobs.get(here.database, job_id)


@router.get("")
def listing(request: Request, here: Here, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """Jobs, newest first; ``metadata[KEY]=VALUE`` shows those that have it, ``metadata=null`` those that have none."""
    found = {}
    for name, value in request.query_params.multi_items():
        match = FILTER.fullmatch(name)
        if match:
            found[match[1].replace("\0", "")] = value.replace("\0", "")
    bare = request.query_params.get("metadata") == "null"
    return jobs.listing(here.database, after, limit, found, bare)


@router.get("/{job_id}")
def retrieve(here: Here, job_id: Id) -> dict[str, Any]:
    """A job's object."""
    return jobs.get(here.database, job_id)


@router.post("/{job_id}/cancel")
def cancel(here: Here, job_id: Id) -> dict[str, Any]:
    """End a job."""
    found = jobs.cancel(here.database, job_id)
    here.foreman.look()
    return found


@router.post("/{job_id}/pause")
def pause(here: Here, job_id: Id) -> dict[str, Any]:
    """Let a job wait; its last resume point is kept."""
    found = jobs.pause(here.database, job_id)
    here.foreman.look()
    return found


@router.post("/{job_id}/resume")
def resume(here: Here, job_id: Id) -> dict[str, Any]:
    """Let a paused job go on."""
    found = jobs.resume(here.database, job_id)
    here.foreman.look()
    return found


@router.get("/{job_id}/events")
def events(here: Here, job_id: Id, after: After = None, limit: Limit = 20) -> dict[str, Any]:
    """What has happened to a job, newest first."""
    return jobs.event_listing(here.database, job_id, after, limit)


@router.get("/{job_id}/checkpoints")
def checkpoints(here: Here, job_id: Id, after: After = None, limit: Limit = 10) -> dict[str, Any]:
    """The epochs of a finished job whose weights are models of their own, newest first."""
    return jobs.checkpoint_listing(here.database, job_id, after, limit)
