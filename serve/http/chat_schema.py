"""What a chat is asked with: OpenAI's fields, those that are known here checked, the others refused or left aside."""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT

MOST_CHOICES = 16
MOST_MESSAGES = 2048
ROLES = {"developer": "system"}
NEVER_ZERO = 1e-9
#: Fields that change nothing here.
LEFT_ASIDE = ("user", "store", "metadata", "service_tier", "reasoning_effort", "verbosity", "safety_identifier",
              "prompt_cache_key", "prompt_cache_retention")  # fmt: skip


class Part(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: StrictStr


class Message(BaseModel):
    """One message. Tools and pictures are beyond these models."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[list[Part], ELSE], BY_KIND]
    name: StrictStr | None = None

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """What a stream tells beside the text."""

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
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    n: Annotated[StrictInt, Field(ge=1, le=MOST_CHOICES)] | None = None
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
        """How many answers are wanted."""
        return self.n or 1

    @property
    def most_tokens(self) -> int | None:
        """The cap of one answer."""
        caps = [cap for cap in (self.max_tokens, self.max_completion_tokens) if cap is not None]
        return min(caps, default=None)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def require_sound(self) -> None:
        """Refuse what can't be done.

        Raises:
            Fault: naming the field.
        """
        odd = [name for name, value in (self.model_extra or {}).items() if name not in LEFT_ASIDE and value is not None]
        if odd:
            raise RequestError(f"Unrecognized or unsupported request argument: {odd[0][:100]}", param=odd[0][:100])
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs to be true", param="top_logprobs")
        if self.stream_options and not self.stream:
            raise RequestError("stream_options needs stream to be true", param="stream_options")
        if (self.response_format or {}).get("type", "text") != "text":
            raise RequestError(
                "response_format can only be text here", param="response_format", code="unsupported_value"
            )
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if "" in stops:
            raise RequestError("stop must not hold an empty text", param="stop")

    def requests(self, reference: str) -> list[Request]:
        """What the engine is asked: one request for each choice, with a seed of its own."""
        greedy = self.temperature == 0 or self.top_p == 0
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [
            Request(
                reference,
                tuple((ROLES.get(each.role, each.role), each.text) for each in self.messages),
                self.most_tokens,
                0.0 if greedy else 1.0 if self.temperature is None else self.temperature,
                1.0 if greedy or self.top_p is None else max(self.top_p, NEVER_ZERO),
                self._seed(choice),
                tuple(stops),
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
