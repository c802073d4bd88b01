"""``/v1/fine_tuning/checkpoints``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from serve.http.schemas import After, Id, Limit, Name
from serve.state import State
from serve.store import permissions

Checkpoint = Annotated[str, Path(min_length=1, max_length=400, pattern=r"^[^\x00]+$")]
Project = Annotated[str | None, Query(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]

router = APIRouter(prefix="/v1/fine_tuning/checkpoints/{checkpoint}/permissions", tags=["fine-tuning"])


class PermissionRequest(BaseModel):
    """Projects that may use a checkpoint."""

    project_ids: Annotated[list[Name], Field(min_length=1, max_length=100)]


@router.post("")
def create(state: State, checkpoint: Checkpoint, body: PermissionRequest) -> dict[str, Any]:
    """Let other projects use a checkpoint."""
    return permissions.create(state.database, checkpoint, body.project_ids)


@router.get("")
def listing(
    state: State,
    checkpoint: Checkpoint,
    project_id: Project = None,
    after: After = None,
    limit: Limit = 10,
    order: Literal["ascending", "descending"] = "descending",
) -> dict[str, Any]:
    """The permissions of a checkpoint, newest first."""
    return permissions.listing(state.database, checkpoint, project_id, after, limit, order == "descending")


@router.delete("/{permission_id}")
def delete(state: State, checkpoint: Checkpoint, permission_id: Id) -> dict[str, Any]:
    """Delete a permission."""
    return permissions.delete(state.database, checkpoint, permission_id)
