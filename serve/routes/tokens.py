"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``, as at vLLM; without a model they are about ``base_model``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr
from starlette.concurrency import run_in_threadpool

from data.chat_format import direct_template
from data.errors import UserError
from inference.generation import LoadedModel
from inference.loading import positions
from inference.locations import ModelLocation
from inference.prompts import message_ids
from serve.base_facts import tokenizer_in
from serve.engine.resolver import PLAIN
from serve.errors import RequestError
from serve.http.answers import request_error
from serve.http.chat_schema import ROLES, Message
from serve.state import ServerState, State

router = APIRouter(tags=["tokens"])


class TokenizeRequest(BaseModel):
    """A text or a conversation to tokenize."""

    model: StrictStr | None = None
    prompt: StrictStr | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: StrictBool | None = None
    return_token_strs: StrictBool | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class DetokenizeRequest(BaseModel):
    """Token ids to write as text."""

    model: StrictStr | None = None
    tokens: Annotated[list[Annotated[StrictInt, Field(ge=0, lt=2**31)]], Field(max_length=1_000_000)]


@router.post("/tokenize")
async def tokenize(state: State, body: TokenizeRequest) -> dict[str, Any]:
    """The tokens of a text, or those that a model reads before it answers a conversation."""
    if (body.prompt is None) == (body.messages is None):
        raise RequestError("give one of prompt and messages", param="prompt")
    location = await _locate(state, body.model)
    return await run_in_threadpool(_tokenize, location, body)


@router.post("/detokenize")
async def detokenize(state: State, body: DetokenizeRequest) -> dict[str, str]:
    """The text of tokens, control tokens included."""
    location = await _locate(state, body.model)
    return {"prompt": await run_in_threadpool(_detokenize, location, body.tokens)}


@router.get("/tokenizer_info")
async def tokenizer_info(state: State, model: str | None = None) -> dict[str, Any]:
    """The names of a model's control tokens, and its chat template."""
    location = await _locate(state, model)
    return await run_in_threadpool(_info, location)


async def _locate(state: ServerState, model: str | None) -> ModelLocation:
    try:
        reference = PLAIN + state.names.base_model
        if model is not None:
            reference = await run_in_threadpool(state.catalog.reference, model)
        return await state.engine.locate(reference)
    except UserError as error:
        raise request_error(error, model or state.names.base_model) from error


@contextmanager
def _loaded(location: ModelLocation) -> Iterator[LoadedModel]:
    assert location.tokenizer
    with tokenizer_in(location.tokenizer) as tokenizer:
        template = location.template or direct_template(tokenizer)
        yield LoadedModel(location.info, tokenizer=tokenizer, template=template)


def _tokenize(location: ModelLocation, body: TokenizeRequest) -> dict[str, Any]:
    assert location.base
    with _loaded(location) as loaded:
        if body.prompt is not None:
            ids = loaded.tokenizer(body.prompt, add_special_tokens=body.add_special_tokens is not False)["input_ids"]
        else:
            messages = [(ROLES.get(each.role, each.role), each.text) for each in body.messages or ()]
            try:
                ids = message_ids(loaded, messages, body.chat_template_kwargs or {})
            except UserError as error:
                raise RequestError(str(error), param="messages") from error
        names = loaded.tokenizer.convert_ids_to_tokens(ids) if body.return_token_strs else None
    return {"count": len(ids), "max_model_len": positions(location.base), "tokens": ids, "token_strs": names}


def _detokenize(location: ModelLocation, tokens: list[int]) -> str:
    with _loaded(location) as loaded:
        size = len(loaded.tokenizer)
        if any(token >= size for token in tokens):
            raise RequestError(f"there is no token {max(tokens)}: this model has {size}", param="tokens")
        return loaded.tokenizer.decode(tokens, skip_special_tokens=False)


def _info(location: ModelLocation) -> dict[str, Any]:
    with _loaded(location) as loaded:
        names = ("bos_token", "eos_token", "pad_token", "unk_token")
        return {
            "tokenizer_class": type(loaded.tokenizer).__name__,
            **{name: getattr(loaded.tokenizer, name) for name in names},
            "chat_template": loaded.template,
        }
