"""``/v1/completions``."""

from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve.generation import respond
from serve.http import completions
from serve.http.completion_schema import CompletionRequest
from serve.state import State

router = APIRouter(prefix="/v1/completions", tags=["completions"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: CompletionRequest) -> Response:
    """Continue prompts, texts or token ids, without a chat template; ``echo`` with ``logprobs`` scores the prompts."""
    return await respond(request, state, body, partial(completions.begin, state.engine, body))
