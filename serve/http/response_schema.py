"""The request of ``/v1/responses``: OpenAI's fields, checked; texts only, without tools."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from inference.constraints import ANY_OBJECT, json_grammar
from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.answers import estimate_tokens
from serve.http.chat_schema import MAX_MESSAGES, ROLES
from serve.http.response_format import schema_grammar
from serve.http.sampling_schema import Number, Whole, randomness
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT, Metadata, require_known

#: Fields that are accepted and have no effect.
WITHOUT_EFFECT = ("user", "service_tier", "reasoning", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
                  "prompt_cache_retention", "max_tool_calls", "stream_options")  # fmt: skip
LOGPROBS = "message.output_text.logprobs"

#: A conversation as (role, text).
Messages = tuple[tuple[str, str], ...]


class InputPart(BaseModel):
    """A part of an input message; ``output_text`` is of an earlier answer that is sent back."""

    type: Literal["input_text", "output_text", "text"]
    text: StrictStr


class InputMessage(BaseModel):
    """One message of the input."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[list[InputPart], ELSE], BY_KIND]

    @property
    def text(self) -> str:
        """The message's text, its parts joined."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class TextSettings(BaseModel):
    """The form of the answer."""

    format: dict[str, Any] | None = None
    verbosity: StrictStr | None = None


class ResponseRequest(BaseModel):
    """A response."""

    model_config = ConfigDict(extra="allow")

    model: Annotated[StrictStr, Field(min_length=1, max_length=400)]
    input: Annotated[
        Annotated[StrictStr, IF_TEXT]
        | Annotated[list[InputMessage], Field(min_length=1, max_length=MAX_MESSAGES), ELSE],
        BY_KIND,
    ]
    instructions: StrictStr | None = None
    previous_response_id: Annotated[StrictStr, Field(min_length=1, max_length=64)] | None = None
    store: StrictBool | None = None
    stream: StrictBool | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[Whole, Field(ge=1, lt=2**31)] | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    include: list[StrictStr] | None = None
    text: TextSettings | None = None
    metadata: Metadata | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[dict[str, Any], ELSE], BY_KIND] | None = None
    parallel_tool_calls: StrictBool | None = None
    truncation: Literal["auto", "disabled"] | None = None
    background: StrictBool | None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer's log-probabilities are returned."""
        return LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def messages(self) -> Messages:
        """The input as messages, without the instructions."""
        if isinstance(self.input, str):
            return (("user", self.input),)
        return tuple((ROLES.get(each.role, each.role), each.text) for each in self.input)

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown or not supported; ``param`` names it.
        """
        require_known(self, WITHOUT_EFFECT)
        if self.tools:
            raise RequestError("tools are not supported by /v1/responses; chat completions have them", param="tools")
        if self.truncation == "auto":
            raise RequestError("truncation can only be disabled: shorten the input yourself", param="truncation")
        if self.background:
            raise RequestError("background can only be false", param="background")
        odd = next((each for each in self.include or () if each != LOGPROBS), None)
        if odd is not None:
            raise RequestError(f"include can only hold {LOGPROBS}, not {odd[:100]}", param="include")
        self.grammar()

    def grammar(self) -> str | None:
        """The grammar that the answer has to fit; None for any text.

        Raises:
            RequestError: ``text.format`` has another shape than OpenAI's.
        """
        given = (self.text and self.text.format) or {"type": "text"}
        if given.get("type") == "json_schema":
            return schema_grammar(given, "text.format")
        if given.get("type") == "json_object":
            return json_grammar(ANY_OBJECT)
        if given.get("type") != "text":
            message = "Invalid value for 'text.format.type': expected text, json_object or json_schema"
            raise RequestError(message, param="text.format.type")
        return None

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized: input and answer."""
        characters = len(self.instructions or "") + sum(len(text) for _, text in self.messages)
        return estimate_tokens(characters, 1, self.max_output_tokens)

    def engine_request(self, reference: str, earlier: Messages) -> Request:
        """The engine's request, after the ``earlier`` messages; ``reference`` names the model."""
        system = (("system", self.instructions),) if self.instructions else ()
        return Request(
            reference,
            (*system, *earlier, *self.messages),
            max_tokens=self.max_output_tokens,
            **randomness(self.temperature, self.top_p),
            top_k=None,
            min_p=None,
            repetition_penalty=None,
            top_logprobs=(self.top_logprobs or 0) if self.wants_logprobs else None,
            grammar=self.grammar(),
        )
