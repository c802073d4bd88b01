"""``/v1/files``."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from serve.errors import RequestError
from serve.http.schemas import After, Id
from serve.state import Here
from serve.store import files, training_file
from serve.store.training_file import NOT_CHECKED

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
SHORTEST_S, LONGEST_S = 3600, 2_592_000
MOST_NAME = 255
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
                        SECONDS: {"type": "integer", "minimum": SHORTEST_S, "maximum": LONGEST_S},
                    },
                }
            }
        },
    }
}
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.post("", openapi_extra=dict(FORM))
async def create(request: Request, here: Here, idempotency_key: Key = "") -> dict[str, Any]:
    """Upload a file. One for fine-tuning is checked line by line, and refused with line and reason."""
    form = await _form(request)
    try:
        upload, purpose, expires_s = _fields(form)
        return await run_in_threadpool(_keep, here, upload, purpose, expires_s, idempotency_key)
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
        raise RequestError("'file' is missing, or is no file", param="file")
    if purpose not in PURPOSES:
        raise RequestError(f"'purpose' must be one of {', '.join(PURPOSES)}", param="purpose")
    anchor, seconds = form.get(ANCHOR), form.get(SECONDS)
    if anchor is None and seconds is None:
        return upload, str(purpose), None
    if anchor != "created_at":
        raise RequestError(f"{ANCHOR} must be created_at", param="expires_after")
    text = str(seconds)
    if not (text.isascii() and text.isdigit() and SHORTEST_S <= int(text[:10]) <= LONGEST_S):
        raise RequestError(f"{SECONDS} must be a whole number from {SHORTEST_S} to {LONGEST_S}", param="expires_after")
    return upload, str(purpose), int(text)


def _keep(here: Here, upload: UploadFile, purpose: str, expires_s: int | None, key: str) -> dict[str, Any]:
    name = (upload.filename or "file").replace("\0", "")[:MOST_NAME]
    checked = training_file.check(upload.file, name) if purpose == "fine-tune" else NOT_CHECKED
    return files.add(here.database, upload.file, name, purpose, expires_s, checked, key)


@router.get("")
def listing(
    here: Here,
    purpose: Annotated[str | None, Query(max_length=64, pattern=r"^[a-z_-]*$")] = None,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
) -> dict[str, Any]:
    """All files, newest first unless ``order=asc``."""
    return files.listing(here.database, purpose, after, limit, order == "desc")


@router.get("/{file_id}")
def retrieve(here: Here, file_id: Id) -> dict[str, Any]:
    """A file's object."""
    return files.get(here.database, file_id)


@router.delete("/{file_id}")
def delete(here: Here, file_id: Id) -> dict[str, Any]:
    """Delete a file that no job or batch needs any more."""
    return files.delete(here.database, file_id)


@router.get("/{file_id}/content", response_class=StreamingResponse)
def content(here: Here, file_id: Id) -> StreamingResponse:
    """A file's bytes."""
    files.get(here.database, file_id)
    return StreamingResponse(files.read(here.database, file_id), media_type="application/octet-stream")
