"""Tools of a chat: OpenAI's fields, checked, and the calls of an answer as OpenAI's objects."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from inference.tool_calls import CallPart, ToolUse
from serve.engine.types import AnswerStream, Piece
from serve.errors import RequestError
from serve.ids import fresh_id

MAX_TOOLS = 128
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
#: Of a call: templates such as Mistral's take no other length.
ID_CHARACTERS = 9


class Function(BaseModel):
    """A function that can be called; ``parameters`` is the JSON schema of its arguments, always enforced."""

    name: Name
    description: StrictStr | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(BaseModel):
    """A tool: a function, no other kind."""

    type: Literal["function"]
    function: Function


class CalledFunction(BaseModel):
    """The function of a call; ``arguments`` is text of JSON."""

    name: Name
    arguments: StrictStr


class ToolCall(BaseModel):
    """A call in a message by the assistant."""

    id: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    type: Literal["function"] = "function"
    function: CalledFunction


class NamedFunction(BaseModel):
    """The name of a function."""

    name: Name


class NamedTool(BaseModel):
    """``tool_choice`` that names the function to call."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["function"]
    function: NamedFunction


Choice = Literal["none", "auto", "required"] | NamedTool


def require_calls_answered(messages: Sequence[Any]) -> None:
    """Check that every result answers a call and that arguments are JSON objects.

    Raises:
        RequestError: one does not; ``param`` names the message.
    """
    called: set[str] = set()
    for i, message in enumerate(messages):
        for call in message.tool_calls or ():
            called.add(call.id)
            if not _is_object(call.function.arguments):
                raise RequestError(
                    f"messages.{i}: the arguments of the call {call.id!r} are no JSON object",
                    param=f"messages.{i}.tool_calls",
                )
        if message.role == "tool" and message.tool_call_id not in called:
            raise RequestError(
                f"messages.{i}: a message of role tool answers a call of an assistant before it, and tool_call_id is "
                f"{message.tool_call_id!r}",
                param=f"messages.{i}.tool_call_id",
            )


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def tool_use(
    messages: Sequence[dict[str, Any]], tools: Sequence[Tool], choice: Choice | None, parallel: bool
) -> ToolUse:
    """How the answer to ``messages`` may call ``tools``; with ``none`` the prompt does not list them.

    Raises:
        RequestError: the choice names no tool, two have one name, or a tool must be called and there is none.
    """
    names = tuple(tool.function.name for tool in tools)
    if len(set(names)) < len(names):
        raise RequestError("Two tools have the same name", param="tools")
    if isinstance(choice, NamedTool):
        if choice.function.name not in names:
            raise RequestError(
                f"tool_choice names {choice.function.name!r}, which is none of tools", param="tool_choice"
            )
        names = (choice.function.name,)
    elif choice == "required" and not names:
        raise RequestError("tool_choice is required, and there are no tools", param="tool_choice")
    if choice == "none":
        return ToolUse(tuple(messages))
    listed = tuple(tool.model_dump(exclude_none=True, exclude={"function": {"strict"}}) for tool in tools)
    is_forced = choice == "required" or isinstance(choice, NamedTool)
    return ToolUse(tuple(messages), listed, names, is_forced, parallel and not isinstance(choice, NamedTool))


class AnswerReader:
    """The deltas of one choice: text, and the calls in it where the answer may call tools."""

    def __init__(self, answer: AnswerStream) -> None:
        self._reader = answer.reader

    def deltas(self, piece: Piece) -> list[dict[str, Any]]:
        """What ``piece`` adds to the message, as OpenAI's deltas."""
        if self._reader is None:
            return [{"content": piece.text}] if piece.text else []
        parts = self._reader.feed(piece.text)
        return [_delta(part) for part in (parts + self._reader.end() if piece.ended else parts)]

    def finish_reason(self, piece: Piece, is_named: bool) -> str:
        """OpenAI's reason for the end that ``piece`` is: after calls ``tool_calls``, or ``stop`` where one is named."""
        has_called = self._reader is not None and self._reader.calls > 0
        return "tool_calls" if has_called and piece.ended == "stop" and not is_named else piece.ended


def _delta(part: CallPart) -> dict[str, Any]:
    if part.call is None:
        return {"content": part.text}
    call: dict[str, Any] = {"index": part.call, "function": {"arguments": part.text}}
    if part.name:
        call = {
            "index": part.call,
            "id": fresh_id("", ID_CHARACTERS),
            "type": "function",
            "function": {"name": part.name, "arguments": ""},
        }
    return {"tool_calls": [call]}


def whole_message(deltas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The message that ``deltas`` make: ``content`` is None where there are calls and no text."""
    text = "".join(delta.get("content", "") for delta in deltas)
    calls: list[dict[str, Any]] = []
    for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
        if "id" in call:
            calls.append({"id": call["id"], "type": "function", "function": dict(call["function"])})
        else:
            calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    message = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None, "annotations": []}
    return {**message, "tool_calls": calls} if calls else message
