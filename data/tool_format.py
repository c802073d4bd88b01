"""How a chat template writes calls of tools, found once for each tokenizer by rendering a conversation with calls.

Templates write a call as JSON in a frame of their own, such as Hermes' and Qwen's::

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

For a template that does not know tools there is a plain way in that form: the tools are listed in the system message,
and calls and results are texts of the assistant and of the user.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from data.chat_format import chat_format, render, render_accepted, template_of
from data.errors import DataError

Message = Mapping[str, Any]

NAMES = "find_boats", "count_waves"
ARGUMENTS = {"harbour": "Northport"}
PROMPT = {"role": "user", "content": "Are Ann and Bob there?"}
PLAIN_TOOLS = (
    "You can call functions. Each is a line of JSON:\n<tools>\n{tools}\n</tools>\n"
    "Call one by writing its name and its arguments like this:\n"
    '<tool_call>\n{{"name": "NAME", "arguments": {{"ARGUMENT": "VALUE"}}}}\n</tool_call>'
)


@dataclass(frozen=True)
class ToolFormat:
    """The texts around a call: ``before`` its name, ``between`` name and arguments, ``after`` the arguments.

    ``joint``: what stands between the arguments of a call and the name of the next one; None where the template writes
    one call only. ``as_text``: whether the template takes a call's arguments as text of JSON. ``is_plain``: whether it
    is the plain way, for a template that does not know tools.
    """

    before: str
    between: str
    after: str
    joint: str | None
    as_text: bool = False
    is_plain: bool = False

    @property
    def trigger(self) -> str:
        """The beginning of ``before`` after which a call must follow: its first tag, or all of it where it has none."""
        start = self.before.lstrip()
        for first, last in ("<>", "[]"):
            if start.startswith(first) and last in start:
                return start[: start.index(last) + 1]
        return start

    @property
    def is_tagged(self) -> bool:
        """Whether a call begins with a tag, so that text may come before it."""
        return self.trigger != self.before.lstrip()


_FIRST, _LAST = '<tool_call>\n{"name": "', "}\n</tool_call>"
PLAIN = ToolFormat(_FIRST, '", "arguments": ', _LAST, f"{_LAST}\n{_FIRST}", is_plain=True)
_known: WeakKeyDictionary[Any, dict[str, ToolFormat]] = WeakKeyDictionary()


def tool_format(tokenizer: Any) -> ToolFormat:
    """How the template in use by ``tokenizer`` writes calls; the plain way where it can't, or not with JSON."""
    found, template = _known.setdefault(tokenizer, {}), template_of(tokenizer)
    if template not in found:
        found[template] = _find(tokenizer, as_text=False) or _find(tokenizer, as_text=True) or PLAIN
    return found[template]


def tool_prompt(tokenizer: Any, messages: Sequence[Message], tools: Sequence[Message]) -> str:
    """Everything before the answer to ``messages``, which may call ``tools`` and hold calls and their results.

    Messages and tools are OpenAI's objects; a call's arguments are text of JSON.

    Raises:
        DataError: the chat template refuses this conversation.
    """
    return _render(tokenizer, messages, tools, add_generation_prompt=True)


def tool_steps(
    tokenizer: Any, messages: Sequence[Message], tools: Sequence[Message], trained: bool = False
) -> list[tuple[str, str]]:
    """For each message by assistant the text before it, and what the template writes of it, up to the end of the turn.

    Args:
        trained: whether the messages are trained on: the plain way is then an error.

    Raises:
        DataError: the chat template refuses this conversation, or does not write calls as it starts and ends answers.
    """
    if trained and tool_format(tokenizer).is_plain:
        raise DataError(
            ["it calls or offers tools, which the chat template of this base can't write: leave such rows out, or take "
             "another base"]
        )  # fmt: skip
    end, found = chat_format(tokenizer).end_text, []
    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            before = _render(tokenizer, messages[:i], tools, add_generation_prompt=True)
            whole = _render(tokenizer, messages[: i + 1], tools)
            text, is_ended, _ = whole.removeprefix(before).partition(end)
            if not (whole.startswith(before) and is_ended):
                raise DataError(["the chat template starts or ends an answer with calls of tools in another way"])
            found.append((before, text))
    return found


def _render(tokenizer: Any, messages: Sequence[Message], tools: Sequence[Message], **settings: Any) -> str:
    found = tool_format(tokenizer)
    written = plain_messages(messages, tools) if found.is_plain else template_messages(messages, found.as_text)
    return render_accepted(tokenizer, written, tools=None if found.is_plain else list(tools) or None, **settings)


def plain_messages(messages: Sequence[Message], tools: Sequence[Message]) -> list[dict[str, Any]]:
    """``messages`` as texts for a template that does not know tools, which are listed in the system message."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    system = [PLAIN_TOOLS.format(tools=listed)] if tools else []
    out: list[dict[str, Any]] = []
    for message in messages:
        role, text = message["role"], message.get("content") or ""
        if role == "system" and not out:
            system.insert(0, text)
        elif role == "tool":
            out.append({"role": "user", "content": f"<tool_response>\n{text}\n</tool_response>"})
        else:
            calls = [call_text(PLAIN, call["function"]) for call in message.get("tool_calls") or ()]
            out.append({"role": role, "content": "\n".join([*filter(None, [text]), *calls])})
    return [*([{"role": "system", "content": "\n\n".join(system)}] if system else []), *_merged(out)]


def _merged(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``messages`` with those of one role that follow each other joined: several results of tools are one turn."""
    out: list[dict[str, Any]] = []
    for message in messages:
        if out and out[-1]["role"] == message["role"]:
            out[-1] = {**message, "content": f"{out[-1]['content']}\n{message['content']}"}
        else:
            out.append(message)
    return out


def call_text(found: ToolFormat, function: Mapping[str, Any]) -> str:
    """One call as text; ``function`` has ``name`` and ``arguments``, text of JSON."""
    return f"{found.before}{function['name']}{found.between}{function['arguments']}{found.after}"


def template_messages(messages: Sequence[Message], as_text: bool) -> list[dict[str, Any]]:
    """``messages`` as templates take them: arguments as objects, and results with the name of their tool."""
    names = {call["id"]: call["function"]["name"] for each in messages for call in each.get("tool_calls") or ()}
    out = []
    for message in messages:
        written = {**message, "content": message.get("content") or ""}
        if message["role"] == "tool":
            written.setdefault("name", names.get(message.get("tool_call_id"), "tool"))
        if message.get("tool_calls"):
            written["tool_calls"] = [_call(call, as_text) for call in message["tool_calls"]]
        out.append(written)
    return out


def _call(call: Mapping[str, Any], as_text: bool) -> dict[str, Any]:
    function = call["function"]
    arguments = function["arguments"] if as_text else json.loads(function["arguments"])
    return {**call, "function": {**function, "arguments": arguments}}


def _find(tokenizer: Any, as_text: bool) -> ToolFormat | None:
    """The format by calls of ``NAMES``; None where the template does not write them with JSON."""
    tools = [
        {"type": "function", "function": {"name": name, "description": "Counts.", "parameters": {
            "type": "object", "properties": {"harbour": {"type": "string"}}, "required": ["harbour"]}}}
        for name in NAMES
    ]  # fmt: skip
    try:
        before = render(tokenizer, [PROMPT], add_generation_prompt=True, tools=tools)
        single = _tail(tokenizer, before, tools, NAMES[:1], as_text)
    except Exception:  # the template refuses tools
        return None
    if NAMES[0] not in before or single is None:
        return None
    start, between, after = single
    try:
        several = _tail(tokenizer, before, tools, NAMES, as_text)
    except Exception:  # it writes one call only
        several = None
    joint = several[2].partition(NAMES[1])[0] if several and NAMES[1] in several[2] else None
    return ToolFormat(start, between, after, joint, as_text)


def _tail(
    tokenizer: Any, before: str, tools: Sequence[Message], names: Sequence[str], as_text: bool
) -> tuple[str, str, str] | None:
    """What the template writes of a message with calls: before the first name, up to its arguments, and after them."""
    calls = [
        {"id": f"call0000{i}", "type": "function", "function": {"name": name, "arguments": json.dumps(ARGUMENTS)}}
        for i, name in enumerate(names)
    ]
    messages = template_messages([PROMPT, {"role": "assistant", "content": None, "tool_calls": calls}], as_text)
    whole = render(tokenizer, messages, tools=tools)
    if not whole.startswith(before):
        return None
    start, name, rest = whole[len(before) :].partition(names[0])
    between, brace, _ = rest.partition("{")
    if not (name and brace):
        return None
    try:
        value, at = json.JSONDecoder().raw_decode(rest, len(between))
    except ValueError:
        return None
    known = chat_format(tokenizer)
    after, is_ended, _ = rest[at:].partition(known.end_text)
    if not is_ended:  # another control token ends calls
        after = known.control.split(after)[0]
    return (start.removeprefix(known.lead), between, after) if value == ARGUMENTS else None
