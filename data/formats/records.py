"""From loose records (parsed JSON objects, CSV lines, rows of a hub data set) to rows, with every problem named."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from data.conversation import Row

EXPECTED = "expected prompt and response, or messages"
ROLES = ("system", "user", "assistant")
#: A row of preferences, as votes are exported and DPO trainers read them: the chosen answer is what is learned here.
PREFERENCE = {"prompt", "chosen", "rejected"}
#: Names that other tools give to our columns, best guess first.
OTHER_NAMES = {
    "prompt": ("instruction", "question", "query", "input", "source", "text"),
    "response": ("completion", "output", "answer", "reply", "target", "chosen", "label", "text"),
    "messages": ("conversations", "conversation", "dialogue", "dialog", "chat", "turns"),
}


@dataclass(frozen=True)
class Record:
    """One parsed but unchecked row and where it was read, such as ``pairs.jsonl row 7 (line 9)``."""

    where: str
    value: Any


class BadRecord(ValueError):
    """A record that is no row; ``faults`` are its problems, without the place."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


def check(records: Iterable[Record]) -> tuple[list[Row], list[str]]:
    """The rows among ``records`` and one problem line for every problem in the others.

    Two rows with equal texts are a problem, because one of them could land in training and the other in the test;
    equal prompts with different responses are fine. Preferences whose chosen answer won against several others are
    right as they are and make one row. Rows that share a mistake in their keys share one line.
    """
    rows: list[Row] = []
    problems: list[str] = []
    keyless: dict[str, list[Record]] = {}
    first: dict[tuple[Any, ...], str] = {}
    for record in records:
        problem = key_problem(record.value)
        if problem:
            keyless.setdefault(problem, []).append(record)
            continue
        try:
            row = to_row(record)
        except BadRecord as error:
            problems += [f"{record.where}: {line}" for line in error.faults]
            continue
        earlier = first.setdefault((row.system, row.turns), row.where)
        if earlier == row.where:
            rows.append(row)
        elif not is_preference(record.value):
            problems.append(f"{row.where}: its prompt and response are those of {earlier} again: keep one of the two")
    return rows, [*_shared(keyless), *problems]


def _shared(keyless: dict[str, list[Record]]) -> Iterator[str]:
    for problem, found in keyless.items():
        others = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        yield f"{found[0].where}{others}: {problem}"


def key_problem(value: Any) -> str:
    """What is wrong with a record's keys, and which ones were probably meant; empty where they are right."""
    if not isinstance(value, dict):
        return f"it is {kind_of(value)}, not an object; {EXPECTED}"
    if {"prompt", "response"} <= value.keys() or "messages" in value or is_preference(value):
        return ""
    keys = [str(key) for key in value]
    hints = " and ".join(f'"{have}" to "{want}"' for want, have in meant(keys).items())
    found = f"its keys are {', '.join(keys)}" if keys else "it has no keys"
    return f"{found}; {EXPECTED}" + (f" (rename {hints}?)" if hints else "")


def is_preference(value: dict[str, Any]) -> bool:
    """Whether a record is a preference; prompt and response, or messages, are what counts where it has them too."""
    return value.keys() >= PREFERENCE and "response" not in value and "messages" not in value


def meant(keys: list[str]) -> dict[str, str]:
    """Which of ``keys`` was probably meant by each expected name that is missing: ``{"response": "output"}``."""
    spelt = {key.strip().lower(): key for key in keys}
    found: dict[str, str] = {}
    for want in ("prompt", "response"):
        if want not in keys:
            left = [key for key in spelt if key not in ("prompt", "response") and key not in found.values()]
            have = want if want in spelt else _match(want, left)
            if have:
                found[want] = have
    if not found:
        have = _match("messages", list(spelt))
        found = {"messages": have} if have else {}
    return {want: spelt[have] for want, have in found.items()}


def _match(want: str, keys: list[str]) -> str | None:
    known = next((name for name in OTHER_NAMES[want] if name in keys), None)
    return known or next(iter(get_close_matches(want, keys, n=1, cutoff=0.75)), None)


def to_row(record: Record) -> Row:
    """The row that ``record`` holds, whitespace around its texts stripped.

    Raises:
        BadRecord: a text is missing, no text, blank or not printable, or the messages do not alternate.
    """
    value = record.value
    if is_preference(value):
        prompt, chosen = value["prompt"], value["chosen"]
        if isinstance(prompt, list) != isinstance(chosen, list):
            raise BadRecord(
                f"the prompt is {kind_of(prompt)} and chosen is {kind_of(chosen)}; both must be text, or both messages"
            )
        if not isinstance(prompt, list):
            return _pair(record, "chosen", "the chosen answer")
        messages = prompt + chosen
    elif {"prompt", "response"} <= value.keys():
        return _pair(record, "response", "the response")
    else:
        messages = value["messages"]
    _refuse(_message_faults(messages))
    _refuse(_order_faults([message["role"] for message in messages]))
    texts = [message["content"].strip() for message in messages]
    system = texts.pop(0) if messages[0]["role"] == "system" else ""
    answers = [message for message in messages if message["role"] == "assistant"]
    muted = tuple(i for i, answer in enumerate(answers) if answer.get("weight", 1) == 0)
    if len(muted) == len(answers):
        raise BadRecord("every answer has the weight 0, so there is nothing to learn")
    return Row(tuple(zip(texts[::2], texts[1::2], strict=True)), system, record.where, muted)


def _pair(record: Record, key: str, name: str) -> Row:
    prompt, response = record.value["prompt"], record.value[key]
    texts = [("the prompt", prompt), (name, response)]
    _refuse(problem for name, text in texts if (problem := text_problem(name, text)))
    return Row(((prompt.strip(), response.strip()),), where=record.where)


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise BadRecord(*found)


def text_problem(name: str, text: Any) -> str:
    """What makes ``text`` unusable as the text called ``name``; empty where it is fine."""
    if not isinstance(text, str):
        return f"{name} is {kind_of(text)}, not text"
    if "\0" in text:
        return f"{name} holds a NUL character"
    if any("\ud800" <= ch <= "\udfff" for ch in text):
        return f"{name} holds half a character (a lone surrogate)"
    # Not only spaces: a lone zero-width space or control character would look just as empty.
    if not any(ch.isprintable() and not ch.isspace() for ch in text):
        return f"{name} is blank"
    return ""


def _message_faults(messages: Any) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield f"messages is {kind_of(messages)}, not a list of objects with role and content"
        return
    for i, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            yield f"message {i} is {kind_of(message)}, not an object with role and content"
        elif not {"role", "content"} <= message.keys():
            yield f"message {i} has the keys {', '.join(map(str, message)) or 'none'}; expected role and content"
        elif message["role"] not in ROLES:
            yield f"message {i} has the role {message['role']!r}; expected {', '.join(ROLES)}"
        elif problem := text_problem(f"message {i} ({message['role']})", message["content"]):
            yield problem


def _order_faults(roles: list[str]) -> Iterator[str]:
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


def kind_of(value: Any) -> str:
    """What a JSON value is, in words, with a short look at it where that helps."""
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float)):
        return f"the {'truth value' if isinstance(value, bool) else 'number'} {str(value)[:30]}"
    if isinstance(value, (list, dict)):
        name = "list" if isinstance(value, list) else "object"
        return f"an empty {name}" if not value else "a list" if name == "list" else "an object"
    return "text" if isinstance(value, str) else f"a {type(value).__name__}"
