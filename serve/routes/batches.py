"""``/v1/batches``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictInt

from serve.http.schemas import After, Id, Metadata, Name
from serve.state import State
from serve.store import batches

router = APIRouter(prefix="/v1/batches", tags=["batches"])


class Expiry(BaseModel):
    """When the output files are deleted."""

    anchor: Literal["created_at"]
    seconds: Annotated[StrictInt, Field(ge=3600, le=2_592_000)]


class BatchRequest(BaseModel):
    """The request of a new batch."""

    input_file_id: Name
    endpoint: Name
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: Expiry | None = None


@router.post("")
def create(state: State, body: BatchRequest) -> dict[str, Any]:
    """Answer all requests of a file, at a low priority behind other chat completions."""
    expiry = body.output_expires_after
    fields = body.model_dump(exclude={"output_expires_after"})
    return batches.create(state.database, {**fields, "output_expires_s": expiry.seconds if expiry else None})


@router.get("")
def listing(state: State, after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """Batches, newest first."""
    return batches.listing(state.database, after, limit)


@router.get("/{batch_id}")
def retrieve(state: State, batch_id: Id) -> dict[str, Any]:
    """A batch's object."""
    return batches.get(state.database, batch_id)


@router.post("/{batch_id}/cancel")
def cancel(state: State, batch_id: Id) -> dict[str, Any]:
    """Stop answering a batch; the responses that it has are kept."""
    return batches.cancel(state.database, batch_id)
