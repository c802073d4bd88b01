"""``/v1/files``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from serve.errors import RequestError
from serve.http.schemas import After, Id, IdempotencyKey
from serve.state import State
from serve.store import files, training_file
from serve.store.training_file import NOT_CHECKED

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
MIN_EXPIRY_S, MAX_EXPIRY_S = 3600, 2_592_000
MAX_NAME = 255
FORM: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(PURPOSES)},
                        ANCHOR: {"type": "string", "enum": ["created_at"]},
                        SECONDS: {"type": "integer", "minimum": MIN_EXPIRY_S, "maximum": MAX_EXPIRY_S},
                    },
                }
            }
        },
    }
}

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", openapi_extra=dict(FORM))
async def create(request: Request, state: State, idempotency_key: IdempotencyKey = "") -> dict[str, Any]:
    """Upload a file. One for fine-tuning is checked line by line; errors name the line."""
    form = await _form(request)
    try:
        upload, purpose, expires_s = _fields(form)
        return await run_in_threadpool(_store, state, upload, purpose, expires_s, idempotency_key)
    finally:
        await form.close()


async def _form(request: Request) -> FormData:
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise RequestError("An upload is multipart/form-data with the fields file and purpose.", param="file")
    try:
        return await request.form(max_files=1, max_fields=8)
    except HTTPException as error:
        raise RequestError(f"The upload can't be read: {error.detail}") from error


def _fields(form: FormData) -> tuple[UploadFile, str, int | None]:
    upload, purpose = form.get("file"), form.get("purpose")
    if not isinstance(upload, UploadFile):
        raise RequestError("'file' is missing, or is not a file", param="file")
    if purpose not in PURPOSES:
        raise RequestError(f"'purpose' must be one of {', '.join(PURPOSES)}", param="purpose")
    anchor, seconds = form.get(ANCHOR), form.get(SECONDS)
    if anchor is None and seconds is None:
        return upload, str(purpose), None
    if anchor != "created_at":
        raise RequestError(f"{ANCHOR} must be created_at", param="expires_after")
    text = str(seconds)
    if not (text.isascii() and text.isdigit() and MIN_EXPIRY_S <= int(text[:10]) <= MAX_EXPIRY_S):
        message = f"{SECONDS} must be a whole number from {MIN_EXPIRY_S} to {MAX_EXPIRY_S}"
        raise RequestError(message, param="expires_after")
    return upload, str(purpose), int(text)


def _store(state: State, upload: UploadFile, purpose: str, expires_s: int | None, key: str) -> dict[str, Any]:
    name = (upload.filename or "file").replace("\0", "")[:MAX_NAME]
    checked = training_file.check(upload.file, name) if purpose == "fine-tune" else NOT_CHECKED
    return files.add(state.database, upload.file, name, purpose, expires_s, checked, key)


@router.get("")
def listing(
    state: State,
    purpose: Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_-]*$")] = None,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """All files, newest first unless ``order=asc``."""
    return files.listing(state.database, purpose, after, limit, order == "desc")


@router.get("/{file_id}")
def retrieve(state: State, file_id: Id) -> dict[str, Any]:
    """A file's object."""
    return files.get(state.database, file_id)


@router.delete("/{file_id}")
def delete(state: State, file_id: Id) -> dict[str, Any]:
    """Delete a file; one that a job or batch in progress uses can't be deleted."""
    return files.delete(state.database, file_id)


@router.get("/{file_id}/content", response_class=StreamingResponse)
def content(state: State, file_id: Id) -> StreamingResponse:
    """A file's bytes."""
    files.get(state.database, file_id)
    return StreamingResponse(files.read(state.database, file_id), media_type="application/octet-stream")
