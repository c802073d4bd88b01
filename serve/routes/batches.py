"""``/v1/batches``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field, StrictInt

from serve.http.schemas import After, Id, Metadata, Name
from serve.state import Here
from serve.store import batches

router = APIRouter(prefix="/v1/batches", tags=["batches"])


class Expiry(BaseModel):
    """When the output is deleted."""

    anchor: Literal["created_at"]
    seconds: Annotated[StrictInt, Field(ge=3600, le=2_592_000)]


class BatchRequest(BaseModel):
    """A batch to be made."""

    input_file_id: Name
    endpoint: Name
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: Expiry | None = None


@router.post("")
def create(here: Here, asked: BatchRequest) -> dict[str, Any]:
    """Answer all requests of a file, when nobody chats."""
    expiry = asked.output_expires_after
    fields = asked.model_dump(exclude={"output_expires_after"})
    return batches.create(here.database, {**fields, "output_expires_s": expiry.seconds if expiry else None})


@router.get("")
def listing(here: Here, after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """Batches, newest first."""
    return batches.listing(here.database, after, limit)


@router.get("/{batch_id}")
def retrieve(here: Here, batch_id: Id) -> dict[str, Any]:
    """A batch's object."""
    return batches.get(here.database, batch_id)


@router.post("/{batch_id}/cancel")
def cancel(here: Here, batch_id: Id) -> dict[str, Any]:
    """Answer no more of a batch."""
    return batches.cancel(here.database, batch_id)
