"""``/v1/fine_tuning/checkpoints``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from serve.http.schemas import After, Id, Limit, Name
from serve.state import Here
from serve.store import permissions

Checkpoint = Annotated[str, Path(min_length=1, max_length=400, pattern=r"^[^\x00]+$")]
Project = Annotated[str | None, Query(min_length=1, max_length=256, pattern=r"^[^\x00]+$")]

router = APIRouter(prefix="/v1/fine_tuning/checkpoints/{checkpoint}/permissions", tags=["fine-tuning"])


class PermissionRequest(BaseModel):
    """Projects that may use a checkpoint."""

    project_ids: Annotated[list[Name], Field(min_length=1, max_length=100)]


@router.post("")
def create(here: Here, checkpoint: Checkpoint, asked: PermissionRequest) -> dict[str, Any]:
    """Write down who may use a checkpoint; here every key may, with or without."""
    return permissions.create(here.database, checkpoint, asked.project_ids)


@router.get("")
def listing(
    here: Here,
    checkpoint: Checkpoint,
    project_id: Project = None,
    after: After = None,
    limit: Limit = 10,
    order: Literal["ascending", "descending"] = "descending",
) -> dict[str, Any]:
    """The permissions of a checkpoint, newest first."""
    return permissions.listing(here.database, checkpoint, project_id, after, limit, order == "descending")


@router.delete("/{permission_id}")
def delete(here: Here, checkpoint: Checkpoint, permission_id: Id) -> dict[str, Any]:
    """Take a permission back."""
    return permissions.delete(here.database, checkpoint, permission_id)
