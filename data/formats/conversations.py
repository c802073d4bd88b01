"""Conversations in records: OpenAI's messages and ShareGPT's, checked and made one list of messages."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.conversation import THOUGHT, THOUGHT_END
from data.formats.texts import cleaned, is_blank, kind_of, text_problem

ROLES = ("system", "user", "assistant")
#: The roles of ShareGPT by their other names, in lower case, and what each is here.
SHAREGPT_ROLES = {
    **{role: role for role in ROLES},
    **dict.fromkeys(("human", "prompter"), "user"),
    **dict.fromkeys(("gpt", "chatgpt", "bing", "bard", "bot", "ai", "model"), "assistant"),
}
#: The keys of ShareGPT's entries, and what each is here.
SHAREGPT_KEYS = {"from": "role", "value": "content"}
#: OpenAI's newer name of a role.
DEVELOPER = "developer"
TOOL_ROLES = ("tool", "function", "ipython", "observation", "function_call")
#: What a record or a message holds where tools are called.
TOOL_KEYS = ("tools", "functions", "tool_calls", "function_call", "tool_call_id")
TOOLS_PROBLEM = (
    "it calls or offers tools, which can't be trained in this form; write messages with tools and tool_calls as OpenAI "
    "has them, or leave such rows out"
)
#: The types of parts that hold text, in OpenAI's chat completions and responses.
TEXT_PARTS = ("text", "input_text", "output_text")
#: What a model thinks before it answers, by the names that it has beside an answer.
THOUGHT_KEYS = ("reasoning_content", "reasoning", "thinking", "thought")
USED_KEYS = ("role", "content", "weight", "tool_calls", "tool_call_id", *THOUGHT_KEYS)


@dataclass(frozen=True)
class Message:
    """One checked message."""

    role: str
    text: str
    weight: int = 1
    thought: str = ""


def as_list(value: Any, name: str) -> tuple[Any, str]:
    """(what a text holds as JSON, or ``value`` as it is, what is wrong with the text)."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{", '"'):
        return value, ""
    try:
        held = json.loads(value)
    except (ValueError, RecursionError):
        return value, f"{name} is text that holds no JSON; write the list with json.dumps (single quotes are no JSON)"
    return as_list(held, name) if isinstance(held, str) else (held, "")


def as_messages(value: Any) -> Any:
    """The messages that ``value`` is, or that it holds as text of JSON or as one object; other texts as they are."""
    held = as_list(value, "")[0] if isinstance(value, str) else value
    entries = [held] if isinstance(held, dict) else held
    if not entries or not isinstance(entries, list):
        return value
    if not all(isinstance(each, dict) and {"role", "from"} & each.keys() for each in entries):
        return value
    return messages_in(entries, "conversations" if any("from" in each for each in entries) else "messages")[0]


def messages_in(held: Any, name: str = "messages") -> tuple[Any, str]:
    """(the messages under the key ``name``, what is wrong with a text that holds them).

    Under ``conversations`` the keys and roles of ShareGPT become those of messages. The role developer is system.
    """
    messages, problem = as_list(held, name)
    if isinstance(messages, list):
        messages = [_renamed(entry, name == "conversations") for entry in messages]
    return messages, problem


def _renamed(entry: Any, is_sharegpt: bool) -> Any:
    if not isinstance(entry, dict):
        return entry
    if is_sharegpt and {SHAREGPT_KEYS.get(key, key) for key in entry} >= {"role", "content"}:
        new = {key: name for key, name in SHAREGPT_KEYS.items() if name not in entry}
        entry = {new.get(key, key): held for key, held in entry.items()}
    role = entry.get("role")
    if role == DEVELOPER:
        return {**entry, "role": "system"}
    if is_sharegpt and isinstance(role, str):
        return {**entry, "role": SHAREGPT_ROLES.get(role.lower(), role)}
    return entry


def problems(messages: Any, name: str = "messages") -> Iterator[str]:
    """Everything that is wrong with ``messages``: their kinds, keys, roles, texts, weights and order."""
    if not isinstance(messages, list) or not messages:
        yield f"{name} is {kind_of(messages)}, not a list of objects with role and content"
        return
    found = [problem for i, message in enumerate(messages, 1) for problem in _message_problems(i, message)]
    yield from found or _order_problems([message["role"] for message in messages])


def _message_problems(number: int, message: Any) -> Iterator[str]:
    name = f"message {number}"
    if not isinstance(message, dict):
        yield f"{name} is {kind_of(message)}, not an object with role and content"
    elif not {"role", "content"} <= message.keys():
        yield f"{name} has the keys {', '.join(map(str, message)) or 'none'}; expected role and content"
    elif message["role"] not in ROLES:
        yield f"{name} has the role {message['role']!r}; expected {', '.join(ROLES)}"
    else:
        yield from _content_problems(f"{name} ({message['role']})", message)


def _content_problems(name: str, message: dict[str, Any]) -> Iterator[str]:
    content = message["content"]
    if message["role"] != "system" or not is_blank(content):
        problem = _part_problem(name, content) or text_problem(name, text_of(content))
        yield from [problem] if problem else inline_problems(name, message, text_of(content))
    yield from thought_problems(name, message, message["role"])
    weight = message.get("weight")
    if weight not in (None, 0, 1):
        yield f"{name.partition(' (')[0]} has the weight {weight!r}; expected 0 or 1"
    elif weight == 1 and message["role"] != "assistant":
        yield f"{name} has a weight; only those by assistant can"


def thought_problems(name: str, value: dict[str, Any], role: str = "assistant") -> Iterator[str]:
    """What is wrong with the thought beside an answer; ``name`` is what the messages call its holder."""
    given = [key for key in THOUGHT_KEYS if not is_blank(value.get(key))]
    if given and role != "assistant":
        yield f"{name} has {given[0]}; only messages by assistant can"
    elif len(given) > 1:
        yield f"{name} has {' and '.join(given)}; keep one"
    elif given:
        yield from filter(None, [text_problem(f"the {given[0]} of {name}", value[given[0]])])


def inline_problems(name: str, value: dict[str, Any], answer: str) -> Iterator[str]:
    """What is wrong with a thought at the beginning of ``answer``, beside which are the keys of ``value``."""
    if value.get("role", "assistant") != "assistant" or not answer.lstrip().startswith(THOUGHT):
        return
    beside = next((key for key in THOUGHT_KEYS if not is_blank(value.get(key))), "")
    _, is_closed, after = answer.partition(THOUGHT_END)
    if beside:
        yield f"{name} has {beside} and begins with {THOUGHT}; keep one"
    elif not is_closed:
        yield f"{name} begins with {THOUGHT} and has no {THOUGHT_END}; close the thought, or take {THOUGHT} out"
    elif is_blank(after):
        yield f"{name} holds nothing after {THOUGHT_END}"


def thought_of(value: dict[str, Any]) -> str:
    """The thought beside an answer; empty for none."""
    return next((cleaned(value[key]) for key in THOUGHT_KEYS if not is_blank(value.get(key))), "")


def _part_problem(name: str, content: Any) -> str:
    for part in content if isinstance(content, list) else ():
        if not isinstance(part, dict):
            return f"{name} has a part that is {kind_of(part)}, not an object with type and text"
        if part.get("type") not in TEXT_PARTS:
            return f"{name} has a part of type {part.get('type')!r}; only parts of type 'text' can be trained"
        if not isinstance(part.get("text"), str):
            return f"{name} has a part whose text is {kind_of(part.get('text'))}"
    return ""


def text_of(content: Any) -> Any:
    """The text of a message's content: its parts joined, as chat templates do; anything else as it is."""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(part.get("text", "") for part in content)
    return content


def _order_problems(roles: list[str]) -> Iterator[str]:
    start = int(roles[0] == "system")
    for i, role in enumerate(roles[start:]):
        want = ("user", "assistant")[i % 2]
        if role != want:
            yield (
                f"message {start + i + 1} is by {role}, where {want} must come: "
                "an optional system, then user and assistant in turn"
            )
            return
    if roles[-1] != "assistant":
        yield f"the last message is by {roles[-1]}; it must be by assistant, since that is what is learned"


def checked(messages: list[dict[str, Any]]) -> list[Message]:
    """Messages without problems, their texts cleaned."""
    return [
        Message(
            each["role"],
            cleaned(text_of(each["content"]) or ""),
            0 if each.get("weight") == 0 else 1,
            thought_of(each),
        )
        for each in messages
    ]


def unused_keys(messages: Any) -> Iterator[str]:
    """Keys of messages that hold something and are not used."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield from (str(key) for key, held in message.items() if key not in USED_KEYS and not is_blank(held))
            content = message.get("content")
            parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
            yield from (
                f"content.{key}"
                for part in parts
                for key, held in part.items()
                if key not in ("type", "text") and not is_blank(held)
            )
