"""``/v1/completions``."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from serve.generation import respond
from serve.http import completions
from serve.http.completion_schema import CompletionRequest
from serve.http.completions import Completion
from serve.state import State

router = APIRouter(prefix="/v1/completions", tags=["completions"])


@router.post("", response_model=None)
async def create(request: Request, state: State, body: CompletionRequest) -> Response:
    """Continue prompts, texts or token ids, without a chat template; ``echo`` with ``logprobs`` scores the prompts."""

    async def begin() -> Completion:
        reference = await run_in_threadpool(state.catalog.reference, body.model)
        return await completions.begin(state.engine, body, reference)

    return await respond(request, state, body, begin)
