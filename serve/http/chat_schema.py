"""The request of a chat completion: OpenAI's fields, checked; those that have no effect here, and those refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, StrictBool, StrictInt, StrictStr, model_validator

from inference.tool_calls import ToolUse, has_tools
from serve.engine.types import Request
from serve.errors import RequestError
from serve.http.answers import estimate_tokens
from serve.http.response_format import grammar_of
from serve.http.sampling_schema import MaxTokens, SamplingRequest
from serve.http.schemas import BY_KIND, ELSE, IF_TEXT
from serve.http.tools import MAX_TOOLS, Choice, NamedTool, Tool, ToolCall, require_calls_answered, tool_use

MAX_MESSAGES = 2048
ROLES = {"developer": "system"}


class Part(BaseModel):
    """A part of a message."""

    type: Literal["text"]
    text: StrictStr


class Message(BaseModel):
    """One message of a conversation: texts, calls of tools and their results, without images."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[Annotated[StrictStr, IF_TEXT] | Annotated[list[Part], ELSE], BY_KIND] | None = None
    name: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None

    @model_validator(mode="after")
    def _require_content(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(
                f"content is missing; only a message by assistant can have none, and this is by {self.role}"
            )
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"tool_calls can be in messages by assistant only, and this is by {self.role}")
        return self

    @property
    def text(self) -> str:
        """The message's text, its parts joined; empty for none."""
        content = self.content or ""
        return content if isinstance(content, str) else "".join(part.text for part in content)

    @property
    def characters(self) -> int:
        """Characters of the text and of calls."""
        return len(self.text) + sum(len(call.function.arguments) for call in self.tool_calls or ())

    def written(self) -> dict[str, Any]:
        """OpenAI's object, its content as one text."""
        fields = self.model_dump(exclude_none=True, include={"name", "tool_calls", "tool_call_id"})
        return {"role": ROLES.get(self.role, self.role), "content": self.text, **fields}


class ChatRequest(SamplingRequest):
    """A chat completion."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_tokens: MaxTokens = None
    max_completion_tokens: MaxTokens = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0, le=20)] | None = None
    response_format: dict[str, Any] | None = None
    modalities: list[StrictStr] | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Choice | None = None
    parallel_tool_calls: StrictBool | None = None
    chat_template_kwargs: Annotated[dict[str, Any], Field(max_length=32)] | None = None

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
        require_calls_answered(self.messages)
        if self.tool_choice not in (None, "none") and not self.tools:
            raise RequestError("tool_choice needs tools", param="tool_choice")
        if self.tool_use() and self.chat_template_kwargs:
            raise RequestError("chat_template_kwargs can't be used with tools", param="chat_template_kwargs")
        if self.modalities not in (None, [], ["text"]):
            raise RequestError('modalities can only be ["text"] here', param="modalities", code="unsupported_value")

    def form(self) -> tuple[str | None, str]:
        """(the grammar that the answer has to fit or None, the field that asks for it).

        Raises:
            RequestError: ``response_format`` has another shape than OpenAI's, or a field of vLLM's asks for one too.
        """
        grammar, (guided, param) = grammar_of(self.response_format), super().form()
        if grammar and guided:
            raise RequestError(f"keep one of response_format and {param}", param=param)
        return guided or grammar, param

    @property
    def is_tool_named(self) -> bool:
        """Whether the request names the function to call."""
        return isinstance(self.tool_choice, NamedTool)

    def tool_use(self) -> ToolUse | None:
        """How the answer may call tools; None for a chat without any.

        Raises:
            RequestError: the tools or the choice among them are wrong.
        """
        messages = [message.written() for message in self.messages]
        if not self.tools and not has_tools(messages):
            return None
        return tool_use(messages, self.tools or [], self.tool_choice, self.parallel_tool_calls is not False)

    def estimated_tokens(self) -> int:
        """An estimate of the tokens that it takes, made before anything is tokenized: prompt and answers."""
        return estimate_tokens(sum(each.characters for each in self.messages), self.choices, self.max_answer_tokens)

    def requests(self, reference: str) -> list[Request]:
        """The engine's requests: one for each choice, with a seed of its own; ``reference`` names the model."""
        messages = tuple((ROLES.get(each.role, each.role), each.text) for each in self.messages)
        top = (self.top_logprobs or 0) if self.logprobs else None
        use = self.tool_use()
        return [
            Request(
                reference,
                messages,
                max_tokens=self.max_answer_tokens,
                top_logprobs=top,
                tool_use=use,
                prompt_logprobs=self.prompt_logprobs,
                template_settings=self.chat_template_kwargs or {},
                **self.sampling(choice),
            )
            for choice in range(self.choices)
        ]
