"""``/v1/embeddings``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from serve.generation import respond
from serve.http import embeddings
from serve.http.embeddings import EmbeddingRequest, Embeddings
from serve.state import State

router = APIRouter(prefix="/v1/embeddings", tags=["embeddings"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: EmbeddingRequest) -> Response:
    """The mean of a model's last hidden states over each text, normalised; ``dimensions`` cuts it."""

    async def begin() -> Embeddings:
        reference = await run_in_threadpool(state.catalog.reference, body.model)
        return await embeddings.begin(state.engine, body, reference)

    return await respond(request, state, body, begin)
