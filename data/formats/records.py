"""From loose records (parsed JSON objects, CSV lines, rows of a hub data set) to rows, with every problem named."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from data.conversation import Row, Turns
from data.formats import conversations, tool_messages
from data.formats.conversations import Message, as_list, as_messages, messages_in
from data.formats.texts import cleaned, is_blank, kind_of, text_problem

EXPECTED = "expected prompt and response, or messages"
CONVERSATIONS = ("messages", "conversations")
#: The columns of a row by the kinds of data sets, in the order in which they are looked for: pairs, chats, preferences
#: (as votes are exported and DPO trainers read them: the chosen answer is learned), Alpaca, Dolly, ShareGPT.
LAYOUTS = (
    ("prompt", "response"),
    ("messages",),
    ("prompt", "chosen", "rejected"),
    ("instruction", "output"),
    ("instruction", "response"),
    ("conversations",),
)
#: Columns that are joined to the prompt by a line end, as LLaMA-Factory does with Alpaca's ``input``.
PROMPT_PARTS = ("input", "context")
#: Columns that hold what the model thinks before the answer.
THOUGHT_COLUMNS = ("reasoning_content", "thinking")
SYSTEM_COLUMNS = ("system", "system_prompt", "system_message")
#: Names that other tools give to our columns, best guess first.
OTHER_NAMES = {
    "prompt": ("instruction", "question", "query", "input", "source", "text"),
    "response": ("completion", "output", "answer", "reply", "target", "chosen", "label", "text"),
    "messages": ("conversation", "dialogue", "dialog", "chat", "turns"),
}


@dataclass(frozen=True)
class Record:
    """One parsed but unchecked row and where it was read, such as ``pairs.jsonl row 7 (line 9)``."""

    where: str
    value: Any


#: The unchecked records of a file, and the problems of those places that could not be parsed.
Parsed = tuple[list[Record], list[str]]


class BadRecord(ValueError):
    """A record that is no row; ``faults`` are its problems, without the place."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


@dataclass
class Checked:
    """The rows among records, one line for every problem in the others, and what of the records was not used."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    columns: dict[str, None] = field(default_factory=dict)
    message_keys: dict[str, None] = field(default_factory=dict)
    empty_thoughts: int = 0

    def notes(self) -> list[str]:
        """What was not used, each kind once; empty where everything was."""
        kinds = (("columns", self.columns), ("keys of messages", self.message_keys))
        unused = [f"{kind} not used: {', '.join(found)}" for kind, found in kinds if found]
        empty = f"the empty <think></think> before answers of {self.empty_thoughts} rows is no part of them"
        return [*unused, *([empty] if self.empty_thoughts else [])]


def check(records: Iterable[Record]) -> Checked:
    """Check ``records`` and make rows of them.

    Two rows with equal texts are a problem, because one of them could land in training and the other in the test;
    equal prompts with different responses are fine. Preferences whose chosen answer won against several others are
    right as they are and make one row.
    """
    found = Checked()
    first: dict[tuple[Any, ...], str] = {}
    for record in records:
        try:
            row = to_row(record)
        except BadRecord as error:
            found.problems += [f"{record.where}: {line}" for line in error.faults]
            continue
        plain = row.without_empty_thoughts()
        found.empty_thoughts += plain != row
        row = plain
        found.columns.update(dict.fromkeys(unused_columns(record.value)))
        found.message_keys.update(dict.fromkeys(unused_message_keys(record.value)))
        earlier = first.setdefault((row.system, row.turns, row.thoughts, row.chat), row.where)
        if earlier == row.where:
            found.rows.append(row)
        elif not is_preference(record.value):
            found.problems.append(
                f"{row.where}: its prompt and response are those of {earlier} again: keep one of the two"
            )
    return found


def layout_of(value: dict[Any, Any]) -> tuple[str, ...]:
    """The columns that hold a record's prompt and answer; empty where it has none of the ``LAYOUTS``.

    Of several layouts the first that holds anything counts: tables have all columns in every row.
    """
    found = [layout for layout in LAYOUTS if value.keys() >= set(layout)]
    filled = (layout for layout in found if not all(is_blank(value[column]) for column in layout))
    return next(filled, found[0] if found else ())


def is_preference(value: dict[str, Any]) -> bool:
    """Whether a record is a preference; prompt and response, or messages, are what counts where it has them too."""
    return "rejected" in layout_of(value)


def key_problem(value: Any) -> str:
    """What is wrong with a record's keys, and which ones were probably meant; empty where they are right."""
    if not isinstance(value, dict):
        is_json = isinstance(value, str) and value.lstrip().startswith("{")
        kind = "text that holds JSON" if is_json else kind_of(value)
        return f"it is {kind}, not an object; {EXPECTED}"
    if layout_of(value):
        return ""
    keys = [str(key) for key in value]
    hints = " and ".join(f'"{have}" to "{want}"' for want, have in meant(keys).items())
    found = f"its keys are {', '.join(keys)}" if keys else "it has no keys"
    return f"{found}; {EXPECTED}" + (f" (rename {hints}?)" if hints else "")


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
    """The row that ``record`` holds, its texts as ``cleaned`` makes them.

    Raises:
        BadRecord: its keys are wrong, a text is missing, no text, blank or not printable, the messages do not
            alternate, or it holds what can't be trained: tools in another form than OpenAI's, a weight other than 0
            and 1.
    """
    value = record.value
    _refuse(filter(None, [key_problem(value)]))
    layout = layout_of(value)
    if is_preference(value):
        value = {**value, "prompt": as_messages(value["prompt"]), "chosen": as_messages(value["chosen"])}
    if tool_messages.has_tools(value):
        _refuse(tool_messages.problems(value))
        return _with_system(tool_messages.row(value, record.where), _system(value))
    if layout[0] in CONVERSATIONS:
        messages, problem = _messages(value)
        _refuse(filter(None, [problem]))
    elif is_preference(value) and isinstance(value["prompt"], list) == isinstance(value["chosen"], list):
        if not isinstance(value["prompt"], list):
            return _pair(record, "prompt", "chosen", "the chosen answer")
        messages, _ = messages_in(value["prompt"] + value["chosen"])
    elif is_preference(value):
        kinds = f"the prompt is {kind_of(value['prompt'])} and chosen is {kind_of(value['chosen'])}"
        raise BadRecord(f"{kinds}; both must be text, or both messages")
    else:
        prompt, answer = layout
        return _pair(record, prompt, answer, f"the {answer}")
    _refuse(conversations.problems(messages, layout[0]))
    return _conversation(record, conversations.checked(messages))


def _with_system(row: Row, column: str) -> Row:
    """A row with tools, and the system text of its record's columns, where it has any."""
    if column and row.system != column:
        raise BadRecord("it has a system column beside tools; write it as the first message")
    return row


def _messages(value: dict[str, Any]) -> tuple[Any, str]:
    """(the messages of a record, what is wrong with a text that holds them)."""
    (name,) = layout_of(value)
    return messages_in(value[name], name)


def _conversation(record: Record, messages: list[Message]) -> Row:
    column, message = _system(record.value), ""
    if messages[0].role == "system":
        message = messages.pop(0).text
    if column and message and column != message:
        raise BadRecord("it has a system column and another system message; keep one")
    answers = [each for each in messages if each.role == "assistant"]
    muted = tuple(i for i, answer in enumerate(answers) if answer.weight == 0)
    if len(muted) == len(answers):
        raise BadRecord("every answer has the weight 0, so there is nothing to learn")
    return Row(
        _turns(messages), message or column, record.where, muted, _thoughts(answer.thought for answer in answers)
    )


def _thoughts(thoughts: Iterable[str]) -> tuple[str, ...]:
    """The thoughts of each turn, as rows hold them: no entries where there are none."""
    found = tuple(thoughts)
    return found if any(found) else ()


def _turns(messages: list[Message]) -> Turns:
    texts = [each.text for each in messages]
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _pair(record: Record, prompt: str, answer: str, name: str) -> Row:
    value = record.value
    parts = [key for key in PROMPT_PARTS if not is_blank(value.get(key))]
    texts = [(f"the {prompt}", value[prompt]), *((f"its {key}", value[key]) for key in parts), (name, value[answer])]
    beside = {key: value[key] for key in THOUGHT_COLUMNS if key in value}
    _refuse(problem for name, text in texts if (problem := text_problem(name, text)))
    _refuse(conversations.thought_problems("it", beside))
    _refuse(conversations.inline_problems(name, beside, value[answer]))
    *prompts, response = [cleaned(text) for _, text in texts]
    history, thoughts = _history(value)
    thoughts = _thoughts((*thoughts, conversations.thought_of(beside)))
    return Row((*history, ("\n".join(prompts), response)), _system(value), record.where, thoughts=thoughts)


def _system(value: dict[str, Any]) -> str:
    """The system text of the record's columns; empty where there is none."""
    given = [key for key in SYSTEM_COLUMNS if not is_blank(value.get(key))]
    _refuse(problem for key in given if (problem := text_problem(f"its {key}", value[key])))
    texts = dict.fromkeys(cleaned(value[key]) for key in given)
    if len(texts) > 1:
        raise BadRecord(f"its columns {' and '.join(given)} differ; keep one")
    return next(iter(texts), "")


def _history(value: dict[str, Any]) -> tuple[Turns, list[str]]:
    """(the turns before the prompt, their thoughts): Alpaca's ``history``, a list of pairs, or of messages."""
    given = value.get("history")
    is_sharegpt = isinstance(given, list) and any(isinstance(turn, dict) and "from" in turn for turn in given)
    history, problem = messages_in(given, "conversations") if is_sharegpt else as_list(given, "history")
    _refuse(filter(None, [problem]))
    if is_blank(history):
        return (), []
    if isinstance(history, list) and all(isinstance(turn, (list, tuple)) and len(turn) == 2 for turn in history):
        roles = ("user", "assistant")
        history = [{"role": role, "content": text} for turn in history for role, text in zip(roles, turn, strict=True)]
    elif not isinstance(history, list) or not all(isinstance(turn, dict) for turn in history):
        raise BadRecord(f"its history is {kind_of(history)}, not a list of pairs of a prompt and an answer")
    _refuse(f"its history: {problem}" for problem in conversations.problems(history))
    turns = conversations.checked(history)
    if turns[0].role == "system" or any(turn.weight == 0 for turn in turns):
        raise BadRecord("its history has a system message or a weight; write the row as messages")
    return _turns(turns), [turn.thought for turn in turns if turn.role == "assistant"]


def unused_columns(value: dict[str, Any]) -> Iterator[str]:
    """Columns of a record that hold something and are not used."""
    layout = layout_of(value)
    used = {*layout, *SYSTEM_COLUMNS, "tools"} - {"rejected"}
    if layout[0] not in CONVERSATIONS and isinstance(value[layout[0]], str):
        used |= {*PROMPT_PARTS, *THOUGHT_COLUMNS, "history"}
    yield from (str(key) for key, held in value.items() if key not in used and not is_blank(held))


def unused_message_keys(value: dict[str, Any]) -> Iterator[str]:
    """Keys of a record's messages that hold something and are not used."""
    layout = layout_of(value)
    if layout[0] in CONVERSATIONS:
        yield from conversations.unused_keys(_messages(value)[0])
    elif isinstance(value[layout[0]], list):
        yield from conversations.unused_keys(value["prompt"] + value["chosen"])


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise BadRecord(*found)
