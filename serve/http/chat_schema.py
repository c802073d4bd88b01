"""The request of a chat completion: OpenAI's fields, checked; those that have no effect here, and those refused."""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT

MAX_CHOICES = 16
MAX_MESSAGES = 2048
ROLES = {"developer": "system"}
SMALLEST_TOP_P = 1e-9
#: Fields that are accepted and have no effect.
WITHOUT_EFFECT = ("user", "store", "metadata", "service_tier", "reasoning_effort", "verbosity", "safety_identifier",
                  "prompt_cache_key", "prompt_cache_retention")  # fmt: skip


class Part(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: StrictStr


class Message(BaseModel):
    """One message of a conversation: texts only, without tools or images."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[list[Part], ELSE], BY_KIND]
    name: StrictStr | None = None

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream holds beside the text."""

    include_usage: StrictBool | None = None
    include_obfuscation: StrictBool | None = None


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


Number = Annotated[float, BeforeValidator(_number)]
TokenId = Annotated[str, Field(pattern=r"^\d{1,9}$")]


class ChatRequest(BaseModel):
    """A chat completion. ``logit_bias`` is by the token ids of the model's own tokenizer."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[StrictStr, Field(min_length=1, max_length=400)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: (
        Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[list[StrictStr], Field(max_length=4), ELSE], BY_KIND] | None
    ) = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Annotated[StrictInt, Field(ge=1, lt=2**31)] | None = None
    max_completion_tokens: Annotated[StrictInt, Field(ge=1, lt=2**31)] | None = None
    logit_bias: Annotated[dict[TokenId, Annotated[Number, Field(ge=-100, le=100)]], Field(max_length=1024)] | None = (
        None
    )
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    response_format: dict[str, Any] | None = None

    @property
    def choices(self) -> int:
        """How many answers are generated."""
        return self.n or 1

    @property
    def max_answer_tokens(self) -> int | None:
        """The most tokens of one answer; None where the request sets no limit."""
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(limits, default=None)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, not supported, or needs another one; ``param`` names it.
        """
        for name, value in (self.model_extra or {}).items():
            if name not in WITHOUT_EFFECT and value is not None:
                shown = name[:100]
                raise RequestError(f"Unrecognized or unsupported request argument: {shown}", param=shown)
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs to be true", param="top_logprobs")
        if self.stream_options and not self.stream:
            raise RequestError("stream_options needs stream to be true", param="stream_options")
        if (self.response_format or {}).get("type", "text") != "text":
            raise RequestError(
                "response_format can only be text here", param="response_format", code="unsupported_value"
            )
        if "" in self.stops:
            raise RequestError("stop must not hold an empty text", param="stop")

    def requests(self, reference: str) -> list[Request]:
        """The engine's requests: one for each choice, with a seed of its own; ``reference`` names the model."""
        greedy = self.temperature == 0 or self.top_p == 0
        return [
            Request(
                reference,
                tuple((ROLES.get(each.role, each.role), each.text) for each in self.messages),
                self.max_answer_tokens,
                0.0 if greedy else 1.0 if self.temperature is None else self.temperature,
                1.0 if greedy or self.top_p is None else max(self.top_p, SMALLEST_TOP_P),
                self._seed(choice),
                self.stops,
                {int(token): bias for token, bias in (self.logit_bias or {}).items()},
                self.presence_penalty or 0.0,
                self.frequency_penalty or 0.0,
                (self.top_logprobs or 0) if self.logprobs else None,
            )
            for choice in range(self.choices)
        ]

    def _seed(self, choice: int) -> int | None:
        if self.seed is None:
            return None
        if choice == 0:
            return self.seed % 2**63
        return int.from_bytes(hashlib.sha256(f"{self.seed} {choice}".encode()).digest()[:8]) % 2**63
