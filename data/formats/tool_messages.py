"""Rows with calls of tools, in OpenAI's form: ``tools``, ``tool_calls`` of the assistant and messages by ``tool``."""

import json
from collections.abc import Iterator
from typing import Any

from data.conversation import Row, ToolChat
from data.formats.conversations import (
    THOUGHT_KEYS,
    TOOL_KEYS,
    TOOL_ROLES,
    TOOLS_PROBLEM,
    as_list,
    messages_in,
    text_of,
)
from data.formats.texts import cleaned, is_blank, kind_of, text_problem
from data.tool_format import PLAIN, call_text

ROLES = ("system", "user", "assistant", "tool")
#: What follows about a call in a row without a list of tools.
UNLISTED = ": it lists none, so its calls can't be trained; list them under tools, or leave such rows out"
OTHER_KEYS = ("functions", "function_call")


def has_tools(value: dict[str, Any]) -> bool:
    """Whether a record offers or calls tools, in whatever form; empty lists are none."""
    messages = [each for held in value.values() if isinstance(held, list) for each in held if isinstance(each, dict)]
    return any(
        not is_blank(each.get(key)) and each.get(key) not in ("[]", "{}")
        for each in (value, *messages)
        for key in TOOL_KEYS
    ) or any(each.get(key) in TOOL_ROLES for each in messages for key in ("role", "from"))


def problems(value: dict[str, Any]) -> Iterator[str]:
    """Everything that is wrong with a record that has tools."""
    messages, _ = messages_in(value.get("messages"))
    tools, problem = as_list(value.get("tools") or [], "tools")
    others = [each for each in (value, *(messages if isinstance(messages, list) else ())) if isinstance(each, dict)]
    if "messages" not in value or any(not is_blank(each.get(key)) for each in others for key in OTHER_KEYS):
        yield TOOLS_PROBLEM
    elif problem or not isinstance(tools, list):
        yield problem or f"tools is {kind_of(tools)}, not a list"
    elif not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        yield f"messages is {kind_of(messages)}, not a list of objects with role and content"
    else:
        found = [each for i, tool in enumerate(tools, 1) for each in _tool_problems(i, tool)]
        names = {tool["function"]["name"] for tool in tools} if not found else set()
        found = found or [each for i, held in enumerate(messages, 1) for each in _message_problems(i, held, names)]
        yield from found or _order_problems(messages)


def _tool_problems(number: int, tool: Any) -> Iterator[str]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        yield f"tool {number} is no object of type function whose function has a name"


def _message_problems(number: int, message: dict[str, Any], names: set[str]) -> Iterator[str]:
    role, name = message.get("role"), f"message {number} ({message.get('role')})"
    calls = message.get("tool_calls")
    if role not in ROLES:
        yield f"message {number} has the role {role!r}; with tools, expected {', '.join(ROLES)}"
        return
    if not (is_blank(message.get("content")) and (role == "system" or (role == "assistant" and calls))):
        yield from filter(None, [text_problem(name, text_of(message.get("content")))])
    if any(not is_blank(message.get(key)) for key in THOUGHT_KEYS):
        yield f"{name} has a thought, which can't be trained beside tools"
    if not is_blank(calls) and role != "assistant":
        yield f"{name} has tool_calls; only messages by assistant can"
    for call in calls or () if isinstance(calls, list | None) else [calls]:
        yield from _call_problems(name, call, names)
    weight = message.get("weight")
    if weight not in (None, 0, 1) or (weight == 1 and role != "assistant"):
        yield f"{name} has the weight {weight!r}; expected 0 or 1, and 1 only by assistant"


def _call_problems(name: str, call: Any, names: set[str]) -> Iterator[str]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or "arguments" not in function:
        yield f"{name} has a call that is no object with id and function (name and arguments)"
    elif function["name"] not in names:
        yield f"{name} calls {function['name']!r}, which is none of the row's tools{'' if names else UNLISTED}"
    elif _arguments(function["arguments"]) is None:
        yield f"{name} calls {function['name']!r} with arguments that are no JSON object"


def _arguments(held: Any) -> dict[str, Any] | None:
    try:
        found = json.loads(held) if isinstance(held, str) else held
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _order_problems(messages: list[dict[str, Any]]) -> Iterator[str]:
    roles = [message["role"] for message in messages]
    start = int(roles[:1] == ["system"])
    before, open_calls = "", list[Any]()
    for number, (role, message) in enumerate(zip(roles[start:], messages[start:], strict=True), start + 1):
        allowed = {"": ("user",), "user": ("assistant",), "tool": ("tool", "assistant")}.get(
            before, ("tool",) if open_calls else ("user",)
        )
        if role not in allowed:
            yield f"message {number} is by {role}, where {' or '.join(allowed)} must come"
            return
        if role == "tool" and message.get("tool_call_id") not in open_calls:
            yield f"message {number} (tool) answers no call: its tool_call_id is {message.get('tool_call_id')!r}"
            return
        if role == "tool":
            open_calls.remove(message.get("tool_call_id"))
        elif open_calls:
            yield f"message {number} is by {role}, where the answer to call {open_calls[0]!r} must come"
            return
        if role == "assistant":
            open_calls = [call.get("id") for call in message.get("tool_calls") or ()]
        before = role
    if before != "assistant":
        yield f"the last message is by {before or 'nobody'}; it must be by assistant, since that is what is learned"


def row(value: dict[str, Any], where: str) -> Row:
    """The row of a record without problems.

    Its turns are texts, one for each message by assistant: the texts before it, and its text with its
    calls in Hermes' form. ``chat`` holds the messages themselves, which the chat template writes.
    """
    given, _ = messages_in(value["messages"])
    messages = [_written(each) for each in given]
    tools, _ = as_list(value.get("tools") or [], "tools")
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    turns, before, muted = [], list[str](), list[int]()
    for message, read in zip(messages, given, strict=True):
        if message["role"] == "assistant":
            calls = [call_text(PLAIN, call["function"]) for call in message.get("tool_calls", ())]
            muted += [len(turns)] if read.get("weight") == 0 else []
            turns.append(("\n".join(before), "\n".join([*filter(None, [message["content"]]), *calls])))
            before = []
        elif message["role"] != "system":
            before.append(message["content"])
    chat = ToolChat(
        json.dumps([each for each in messages if each["content"] or each["role"] != "system"]), json.dumps(tools)
    )
    return Row(tuple(turns), system, where, tuple(muted), chat=chat)


def _written(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's object of ``message``: its text cleaned, arguments as text of JSON."""
    written = {"role": message["role"], "content": cleaned(text_of(message.get("content")) or "")}
    if message.get("tool_calls"):
        written["tool_calls"] = [
            {
                "id": call.get("id") or f"call{i:05}",
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.dumps(_arguments(call["function"]["arguments"]), ensure_ascii=False),
                },
            }
            for i, call in enumerate(message["tool_calls"])
        ]
    if message["role"] == "tool":
        written["tool_call_id"] = message["tool_call_id"]
    return written
