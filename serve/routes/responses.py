"""``/v1/responses``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from serve.errors import RequestError
from serve.generation import respond
from serve.http import responses
from serve.http.response_schema import Messages, ResponseRequest
from serve.http.responses import ModelResponse
from serve.http.schemas import After, Id, Limit
from serve.state import State
from serve.store import responses as stored
from serve.store.database import paged

router = APIRouter(prefix="/v1/responses", tags=["responses"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: ResponseRequest) -> Response:
    """Generate the answer to an input, after an earlier response where one is named; it is kept unless ``store`` is
    false.
    """

    async def save(response: dict[str, Any], messages: Messages) -> None:
        await run_in_threadpool(stored.add, state.database, response, messages)

    async def begin(reference: str) -> ModelResponse:
        earlier: Messages = ()
        if body.previous_response_id:
            earlier = await run_in_threadpool(stored.conversation, state.database, body.previous_response_id)
        kept = None if body.store is False else save
        return await responses.begin(state.engine, body, reference, earlier, kept)

    return await respond(request, state, body, begin)


@router.get("/{response_id}")
def retrieve(state: State, response_id: Id, stream: bool = False) -> dict[str, Any]:
    """A stored response."""
    if stream:
        raise RequestError("stream is for responses in the background, which there are not here", param="stream")
    return stored.get(state.database, response_id)


@router.delete("/{response_id}")
def delete(state: State, response_id: Id) -> dict[str, Any]:
    """Remove a stored response."""
    return stored.delete(state.database, response_id)


@router.post("/{response_id}/cancel")
def cancel(state: State, response_id: Id) -> dict[str, Any]:
    """Refused: only responses in the background can be cancelled."""
    stored.get(state.database, response_id)
    raise RequestError("only responses in the background can be cancelled, which there are not here")


@router.get("/{response_id}/input_items")
def input_items(
    state: State,
    response_id: Id,
    after: After = None,
    limit: Limit = 20,
    order: Annotated[Literal["asc", "desc"], Query()] = "desc",
) -> dict[str, Any]:
    """The items of a response's input, with those of the responses before it."""
    messages = stored.conversation(state.database, response_id, "response_id")[:-1]
    items = list(responses.input_items(response_id, messages))
    items = items if order == "asc" else items[::-1]
    ids = [each["id"] for each in items]
    if after is not None and after not in ids:
        raise RequestError(f"after: there is no {after!r}", param="after")
    start = 0 if after is None else ids.index(after) + 1
    return paged(items[start : start + limit], start + limit < len(items))
