"""``/api/v1``: the protocol of Tinker's SDK. Long work is begun by one request and fetched by ``retrieve_future``."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import JSONResponse, Response

from data.errors import UserError
from serve.base_facts import facts_of
from serve.errors import RequestError
from serve.http.schemas import Id
from serve.http.tinker_messages import datum_of, read_request, settings_of
from serve.http.tinker_schema import (
    FutureRequest,
    HeartbeatRequest,
    InfoRequest,
    LoadRequest,
    ModelRequest,
    SaveRequest,
    SessionRequest,
    StepRequest,
    WeightsInfoRequest,
)
from serve.state import ServerState, State
from serve.store.projects import current
from serve.training import tinker_models
from serve.training.tinker_futures import Reply
from serve.training.tinker_models import LoraSettings, TrainedModel
from serve.training.tinker_sessions import request_id

PROTOBUF = "application/x-protobuf"
BINARY = {"schema": {"type": "string", "format": "binary"}}
POLL_S = 20.0  # for so long a request for a result waits; the SDK then sends the next
UNEMBED = "train_unembed is not used here: adapters are on attention and MLP layers, the unembedding stays as it is."

router = APIRouter(prefix="/api/v1", tags=["tinker"])


Owner = Annotated[str, Depends(current)]  # the project of the key


# Sessions


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Whether the server answers."""
    return {"status": "ok"}


@router.post("/client/config")
def client_config(state: State, body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Settings of the SDK: one chunk of data after the other, each below the limit of a body."""
    most = min(5_000_000, state.config.body_mb * 700_000)
    return {
        "parallel_fwdbwd_chunks": False,
        "fwdbwd_max_chunk_bytes_count": most,
        "fwdbwd_max_chunk_len": 256,
        "use_pyqwest_transport": False,
        "sample_max_concurrent_requests": state.config.chat_queue,
    }


@router.post("/client/dynamic_config")
def client_dynamic_config(body: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Settings of the SDK that it fetches from time to time: samples that are given up are cancelled."""
    return {"sample_cancel_enabled": True}


@router.post("/telemetry")
def telemetry(body: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
    """Accept the SDK's events; nothing of them is kept."""
    return {"status": "accepted"}


@router.get("/get_server_capabilities")
def capabilities(state: State) -> dict[str, Any]:
    """The bases that adapters can be trained on, by all of their names."""
    models = []
    for name in state.names.listed():
        facts = facts_of(state.names.base_of(name) or "")
        length = {"max_context_length": facts.positions} if facts else {}
        models.append({"model_name": name, "trainable": True, "sampleable": True, **length})
    return {"supported_models": models}


@router.post("/create_session")
async def create_session(state: State, owner: Owner, body: SessionRequest) -> dict[str, Any]:
    """Open a session."""
    if body.project_id not in (None, owner):
        message = f"project_id: this key belongs to the project {owner}; take a key of {body.project_id}"
        raise RequestError(message, 403, param="project_id")
    session = state.tinker.create(owner)
    return {"type": "create_session", "session_id": session.id, "info_message": UNEMBED}


@router.post("/session_heartbeat")
async def session_heartbeat(state: State, owner: Owner, body: HeartbeatRequest) -> dict[str, str]:
    """Keep a session open."""
    state.tinker.session(owner, body.session_id)
    return {"type": "session_heartbeat"}


@router.post("/sessions/{session_id}/finish", status_code=204, response_class=Response)
async def finish(state: State, owner: Owner, session_id: Id, body: Annotated[dict[str, Any], Body()]) -> Response:
    """End a session, which frees its models."""
    state.tinker.finish(owner, session_id)
    return Response(status_code=204)


# Training


@router.post("/create_model")
async def create_model(state: State, owner: Owner, body: ModelRequest) -> dict[str, Any]:
    """Begin to make an adapter on a base."""
    body.optimizer_config.require_supported()
    if body.lora_config is None:
        raise RequestError("lora_config is missing: only LoRA adapters are trained here", param="lora_config")
    try:
        lora = LoraSettings(**body.lora_config.fields())
    except UserError as error:
        raise RequestError(str(error), param="lora_config") from error
    tags = tinker_models.user_tags(body.user_metadata)
    found = state.tinker.create_model(owner, body.session_id, body.model_seq_id, body.base_model, lora, tags)
    return _begun(request_id(found, 0), found)


@router.post("/get_info")
async def get_info(request: Request, state: State, owner: Owner, body: InfoRequest) -> dict[str, Any]:
    """What a model is. Its tokenizer is a folder, for clients on this machine."""
    model = state.tinker.model(owner, body.model_id)
    base = model.trainer.base.source
    is_local = request.client is not None and ip_address(request.client.host).is_loopback
    data = {"model_name": model.name, "tokenizer_id": str(base.folder) if is_local else model.name}
    shown = {"is_lora": True, "lora_rank": model.trainer.config.rank, "model_name": model.name}
    return {"type": "get_info", "model_data": data, "model_id": model.id, **shown}


@router.post("/forward_backward", openapi_extra={"requestBody": {"required": True, "content": {PROTOBUF: BINARY}}})
async def forward_backward(request: Request, state: State, owner: Owner) -> dict[str, Any]:
    """Begin to add the gradient of a loss; the body is the protocol buffer ``ForwardBackwardRequest``."""
    if request.headers.get("content-type", "").partition(";")[0] != PROTOBUF:
        raise RequestError(f"The body must be {PROTOBUF}, as the SDK sends it since version 0.30.", 415)
    body = await request.body()
    found = read_request(body)
    if not state.tinker.is_known(found.model_id, found.seq_id):
        tokens = sum(len(chunk.encoded_text.tokens) // 4 for datum in found.data for chunk in datum.model_input)
        request.scope["allowance"].take_training_tokens(tokens)

    def work(model: TrainedModel) -> Reply:
        data = [datum_of(each) for each in found.data]
        if not data:
            raise UserError("data: there is no datum")
        return model.forward_backward(data, found.loss_fn, settings_of(found), found.forward_only)

    return _submit(state, owner, found.model_id, found.seq_id, work, len(body))


@router.post("/optim_step")
async def optim_step(state: State, owner: Owner, body: StepRequest) -> dict[str, Any]:
    """Begin an optimizer step of AdamW."""
    if body.adam_params is None:
        raise RequestError("adam_params is missing: AdamW is the optimizer here", param="optimizer_params")
    adam = body.adam_params.settings()
    return _submit(state, owner, body.model_id, body.seq_id, lambda model: model.optim_step(adam))


@router.post("/save_weights")
async def save_weights(state: State, owner: Owner, body: SaveRequest) -> dict[str, Any]:
    """Begin to register the weights as a version, with the optimizer's state."""
    return _save(state, owner, body, "weights")


@router.post("/save_weights_for_sampler")
async def save_weights_for_sampler(state: State, owner: Owner, body: SaveRequest) -> dict[str, Any]:
    """Begin to register the weights as a version; without a path, to make a sampler of them only."""
    if body.path is not None:
        return _save(state, owner, body, "sampler_weights")
    body.require_supported()
    number = body.sampling_session_seq_id
    if number is None:
        raise RequestError("path or sampling_session_seq_id is missing", param="path")

    samplers = state.tinker.session_of(owner, body.model_id).samplers

    def work(model: TrainedModel) -> Reply:
        sampler = samplers.snapshot(model, number)
        return {"type": "save_weights_for_sampler", "sampling_session_id": sampler.id}

    return _submit(state, owner, body.model_id, body.seq_id, work)


def _save(state: ServerState, owner: str, body: SaveRequest, kind: tinker_models.Kind) -> dict[str, Any]:
    body.require_supported()
    if body.path is None:
        raise RequestError("path is missing: it is the name of the saved weights", param="path")
    name, tags = body.path, tinker_models.user_tags(body.user_metadata)
    answer = "save_weights" if kind == "weights" else "save_weights_for_sampler"

    def work(model: TrainedModel) -> Reply:
        return {"type": answer, "path": state.tinker.save(model, kind, name, body.overwrite, tags)}

    return _submit(state, owner, body.model_id, body.seq_id, work)


@router.post("/load_weights")
async def load_weights(state: State, owner: Owner, body: LoadRequest) -> dict[str, Any]:
    """Begin to load saved weights, as a new model of a session or into a model."""
    body.require_supported()
    if body.session_id is not None and body.model_seq_id is not None and body.model_id is None:
        tags = tinker_models.user_tags(body.user_metadata)
        found = state.tinker.load_model(owner, body.session_id, body.model_seq_id, body.path, body.optimizer, tags)
        return _begun(request_id(found, 0), found)
    if body.model_id is None:
        raise RequestError("model_id, or session_id and model_seq_id, is missing", param="model_id")

    def work(model: TrainedModel) -> Reply:
        state.tinker.reload(owner, model, body.path, body.optimizer)
        return {"type": "load_weights", "path": body.path, "model_id": model.id}

    return _submit(state, owner, body.model_id, body.seq_id, work)


@router.post("/weights_info")
def weights_info(owner: Owner, body: WeightsInfoRequest) -> dict[str, Any]:
    """The base and the rank of saved weights."""
    version = _at(body.tinker_path, owner)
    rank = tinker_models.rank_of(version)
    return {"base_model": version.tags.get("base_model", ""), "is_lora": True, "lora_rank": rank}


def _at(path: str, owner: str) -> Any:
    try:
        return tinker_models.version_at(path, owner)
    except UserError as error:
        raise RequestError(str(error), 404, param="path", code="not_found") from error


def _submit(
    state: ServerState,
    owner: str,
    model_id: str,
    number: int | None,
    work: Callable[[TrainedModel], Reply],
    size: int = 0,
) -> dict[str, Any]:
    return _begun(state.tinker.submit(owner, model_id, number, size, work), model_id)


def _begun(found: str, model_id: str) -> dict[str, Any]:
    return {"request_id": found, "model_id": model_id}


# Results


@router.post("/retrieve_future", response_model=None)
async def retrieve_future(state: State, owner: Owner, body: FutureRequest) -> Response:
    """The result of a request; 408 where there is none yet after some seconds."""
    _require(state, owner, body.request_id)
    reply = await state.tinker.futures.result(body.request_id, POLL_S)
    if reply is None:
        return JSONResponse({"type": "try_again", "request_id": body.request_id, "queue_state": "active"}, 408)
    if isinstance(reply, bytes):
        return Response(reply, media_type=PROTOBUF)
    return JSONResponse(reply)


@router.post("/cancel_future", status_code=204, response_class=Response)
async def cancel_future(state: State, owner: Owner, body: FutureRequest) -> Response:
    """Stop a sample that nobody waits for any more."""
    _require(state, owner, body.request_id)
    if ":sample:" in body.request_id:
        state.tinker.futures.cancel(body.request_id)
    return Response(status_code=204)


def _require(state: ServerState, owner: str, found: str) -> None:
    """Raise ``RequestError`` where ``owner`` has no such request; its session is not idle then."""
    session_id = found.partition(":")[0]
    state.tinker.session(owner, session_id)
    if state.tinker.futures.session_of(found) is None:
        message = f"There is no result of {found}: the request never came, or its result was dropped for newer ones."
        raise RequestError(message, 404, param="request_id", code="not_found")
