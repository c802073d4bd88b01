"""``/v1/organization/audit_logs``."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from serve.http.schemas import After
from serve.state import State
from serve.store import audit

router = APIRouter(prefix="/v1/organization/audit_logs", tags=["audit"])


@router.get("")
def listing(state: State, after: After = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> dict[str, Any]:
    """Changes in the key's project, newest first: what was created, changed or deleted, when and with which key."""
    return audit.listing(state.database, after, limit)
