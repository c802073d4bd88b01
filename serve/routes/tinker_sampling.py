"""``/api/v1``: sampling by the protocol of Tinker's SDK."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from data.errors import UserError
from registry.errors import TrackingUnavailable
from serve.errors import RequestError
from serve.http import tinker_samples
from serve.http.schemas import Id
from serve.http.tinker_schema import SampleRequest, SamplerRequest
from serve.model_catalog import registry_unavailable
from serve.routes.tinker import Owner
from serve.state import State
from serve.training.tinker_sessions import request_id

router = APIRouter(prefix="/api/v1", tags=["tinker"])


@router.post("/create_sampling_session")
async def create_sampling_session(state: State, owner: Owner, body: SamplerRequest) -> dict[str, str]:
    """Make a sampler of a base, or of saved weights."""
    samplers, number = state.tinker.session(owner, body.session_id).samplers, body.sampling_session_seq_id
    if body.model_path is not None:
        try:
            sampler = await run_in_threadpool(samplers.of_weights, number, body.model_path)
        except TrackingUnavailable as error:
            raise registry_unavailable(error) from error
        except UserError as error:
            raise RequestError(str(error), 404, param="model_path", code="not_found") from error
    else:
        base = body.base_model or ""
        name = state.names.base_of(base)
        if name is None:
            raise RequestError(f"base_model: there is no base {base!r} here", 404, param="base_model")
        sampler = samplers.of_base(number, base, name)
    return {"type": "create_sampling_session", "sampling_session_id": sampler.id}


@router.get("/samplers/{sampler_id}")
async def get_sampler(state: State, owner: Owner, sampler_id: Id) -> dict[str, Any]:
    """What a sampler samples from."""
    found = state.tinker.sampler(owner, sampler_id)
    return {"sampler_id": found.id, "base_model": found.base, "model_path": found.path or None}


@router.post("/asample")
async def asample(request: Request, state: State, owner: Owner, body: SampleRequest) -> dict[str, Any]:
    """Begin to sample continuations of a prompt."""
    body.require_supported()
    sampler = state.tinker.sampler(owner, body.sampling_session_id)
    found = request_id(sampler.id, body.seq_id)
    ids = [f"{found}:{choice}" for choice in range(body.num_samples)]
    if state.tinker.futures.session_of(found) is None:
        if state.engine.stats()["waiting"] >= state.config.chat_queue:
            raise RequestError("Too many answers wait already.", 429, type="requests", code="rate_limit_exceeded")
        estimate = len(body.tokens) + body.num_samples * min(body.sampling_params.max_tokens or 0, 4096)
        request.scope["allowance"].take_tokens(estimate)
        session = sampler.id.partition(":")[0]
        work = partial(tinker_samples.sample, state.engine, body, sampler.reference, sampler.path or sampler.base)
        state.tinker.futures.start(found, session, 10 * len(body.tokens), work)
    return {"request_id": found, "sample_sequence_ids": ids}
