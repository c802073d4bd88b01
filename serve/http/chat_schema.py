"""The request of a chat completion: OpenAI's fields, checked; those that have no effect here, and those refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr

from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.answers import estimate_tokens
from serve.http.response_format import grammar_of
from serve.http.sampling_schema import MaxTokens, SamplingRequest
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT

MAX_MESSAGES = 2048
ROLES = {"developer": "system"}


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


class ChatRequest(SamplingRequest):
    """A chat completion."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: MaxTokens = None
    max_completion_tokens: MaxTokens = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[StrictStr] | None = None

    @property
    def max_answer_tokens(self) -> int | None:
        """The most tokens of one answer; None where the request sets no limit."""
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(limits, default=None)

    def require_supported(self) -> None:
        """Check what the types of the fields can't.

        Raises:
            RequestError: a field is unknown, not supported, or needs another one; ``param`` names it.
        """
        super().require_supported()
        if self.top_logprobs is not None and not self.logprobs:
            raise RequestError("top_logprobs needs logprobs to be true", param="top_logprobs")
        self.grammar()  # what is wrong with its shape
        if self.modalities not in (None, [], ["text"]):
            raise RequestError('modalities can only be ["text"] here', param="modalities", code="unsupported_value")

    def grammar(self) -> str | None:
        """The grammar that the answer has to fit; None for any text.

        Raises:
            RequestError: ``response_format`` has another shape than OpenAI's.
        """
        return grammar_of(self.response_format)

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized: prompt and answers."""
        return estimate_tokens(sum(len(each.text) for each in self.messages), self.choices, self.max_answer_tokens)

    def requests(self, reference: str) -> list[Request]:
        """The engine's requests: one for each choice, with a seed of its own; ``reference`` names the model."""
        messages = tuple((ROLES.get(each.role, each.role), each.text) for each in self.messages)
        top = (self.top_logprobs or 0) if self.logprobs else None
        grammar = self.grammar()
        return [
            Request(
                reference,
                messages,
                max_tokens=self.max_answer_tokens,
                top_logprobs=top,
                grammar=grammar,
                **self.sampling(choice),
            )
            for choice in range(self.choices)
        ]
