"""``/v1/embeddings``."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.generation import respond
from serve.http import embeddings
from serve.http.embeddings import EmbeddingRequest
from serve.state import State

router = APIRouter(prefix="/v1/embeddings", tags=["embeddings"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: EmbeddingRequest) -> Response:
    """The mean of a model's last hidden states over each text, normalised; ``dimensions`` cuts it."""
    return await respond(request, state, body, partial(embeddings.begin, state.engine, body))
