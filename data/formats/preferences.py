"""Preferences in files: as TRL, Hugging Face, OpenAI and Anthropic write them, checked row by row.

A record has ``prompt``, ``chosen`` and ``rejected`` (texts, or lists of messages); ``chosen`` and ``rejected`` as whole
conversations with a common beginning (lists of messages, or Anthropic's transcripts); OpenAI's ``input``,
``preferred_output`` and ``non_preferred_output``; or, for KTO, ``prompt``, ``completion`` and ``label``.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.chat_template import messages_of
from data.conversation import Row
from data.errors import DataError
from data.formats import files, hub
from data.formats.conversations import as_messages
from data.formats.records import PROMPT_PARTS, SYSTEM_COLUMNS, BadRecord, Record, to_row
from data.formats.texts import is_blank, kind_of
from data.preferences import Preference, Rating

EXPECTED = (
    "expected prompt, chosen and rejected; input, preferred_output and non_preferred_output; or prompt, completion "
    "and label"
)
OPENAI = ("input", "preferred_output", "non_preferred_output")
#: The columns of a prompt beside chosen and rejected: TRL's, and LLaMA-Factory's two.
PROMPTS = ("prompt", "instruction", "conversations")
RATED = ("prompt", "completion", "label")
TURN = re.compile(r"\n\n(Human|Assistant):")
LABELS = {"true": True, "1": True, "false": False, "0": False}
ROLES = {"Human": "user", "Assistant": "assistant"}
ANNOTATORS = ("annotator", "annotator_id", "voter", "labeler")


def load(place: str) -> tuple[list[Preference | Rating], list[str]]:
    """The rows of a file, or of a hub data set where no such path exists, and notes on what is not used of them.

    Raises:
        DataError: with one problem for each thing that is wrong, anywhere in the file.
    """
    path = Path(os.path.expanduser(place))
    name = path.name if files.is_file(place) else place
    found, problems = files.parse_file(path, header_problems) if files.is_file(place) else (hub.records(place), [])
    rows, wrong, unused = check(found)
    problems = [*problems, *wrong]
    if not found and not problems:
        problems.append(f"{name}: there are no rows in it")
    if problems:
        raise DataError(problems)
    return rows, [f"{name}: columns not used: {', '.join(unused)}"] if unused else []


def check(records: Iterable[Record]) -> tuple[list[Preference | Rating], list[str], list[str]]:
    """The rows among ``records``, one line for every problem in the others, and the columns that are not used."""
    rows: list[Preference | Rating] = []
    problems: list[str] = []
    unused: dict[str, None] = {}
    for record in records:
        try:
            rows.append(to_preference(record))
        except BadRecord as error:
            problems += [f"{record.where}: {problem}" for problem in error.faults]
            continue
        used = {*_columns(record.value), *_beside(record.value), "source", "vote_id", "preferred", *ANNOTATORS}
        unused.update(
            dict.fromkeys(str(key) for key, held in record.value.items() if key not in used and not is_blank(held))
        )
    return rows, problems, list(unused)


def to_preference(record: Record) -> Preference | Rating:
    """The preference, or the rated answer, that ``record`` holds.

    Raises:
        BadRecord: its keys are wrong, an answer is missing or blank, or its two conversations differ before their last
            answers.
    """
    value = record.value
    if not isinstance(value, dict):
        raise BadRecord(f"it is {kind_of(value)}, not an object; {EXPECTED}")
    columns = _columns(value)
    if "chosen" in columns:
        return _pair(record, _prompt(value), value["chosen"], value["rejected"])
    if columns:
        return _openai(record) if columns == OPENAI else _rated(record)
    raise BadRecord(f"its keys are {', '.join(map(str, value)) or 'none'}; {EXPECTED}")


def _columns(value: Mapping[Any, Any]) -> tuple[str, ...]:
    """The columns that hold a record's prompt and answers; empty where it has none of the forms."""
    if value.keys() >= {"chosen", "rejected"}:
        return next((name for name in PROMPTS if not is_blank(value.get(name))), PROMPTS[0]), "chosen", "rejected"
    return next((columns for columns in (OPENAI, RATED) if value.keys() >= set(columns)), ())


def _prompt(value: Mapping[str, Any]) -> Any:
    return as_messages(value.get(_columns(value)[0]))


def _beside(value: Mapping[str, Any]) -> dict[str, Any]:
    """What belongs to the prompt of a record: its system text, and what follows or precedes a prompt that is text."""
    is_text = _columns(value) != OPENAI and isinstance(_prompt(value), str)
    keys = (*SYSTEM_COLUMNS, *((*PROMPT_PARTS, "history") if is_text else ()))
    return {key: value[key] for key in keys if not is_blank(value.get(key))}


def _openai(record: Record) -> Preference | Rating:
    value = record.value
    given = value["input"]
    if not isinstance(given, dict) or not isinstance(given.get("messages"), list):
        raise BadRecord("input is not an object with messages")
    if not is_blank(given.get("tools")):
        raise BadRecord("input has tools, which can't be trained; leave such rows out")
    sides = [value[name] for name in OPENAI[1:]]
    for name, side in zip(OPENAI[1:], sides, strict=True):
        if not isinstance(side, list) or len(side) != 1 or not isinstance(side[0], dict):
            raise BadRecord(f"{name} is not a list of one message by assistant")
    return _pair(record, given["messages"], *sides)


def _rated(record: Record) -> Rating:
    value = record.value
    good = LABELS.get(str(value["label"]).strip().lower())
    if good is None:
        raise BadRecord(f"its label is {kind_of(value['label'])}; expected true for a good answer, false for a bad one")
    row = _side(record, value["prompt"], value["completion"], "completion")
    return Rating(row.turns, row.system, row.where, thoughts=row.thoughts, good=good)


def openai_line(row: Preference) -> str:
    """One line of a file in OpenAI's preference form, its newline included."""
    *prompt, _ = messages_of(row.turns, row.system)
    sides = [[{"role": "assistant", "content": text}] for text in (row.response, row.rejected)]
    return json.dumps(dict(zip(OPENAI, ({"messages": prompt}, *sides), strict=True)), ensure_ascii=False) + "\n"


def _pair(record: Record, prompt: Any, chosen: Any, rejected: Any) -> Preference:
    faults: dict[str, None] = {}
    sides: list[Row] = []
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        try:
            sides.append(_side(record, prompt, answer, name))
        except BadRecord as error:
            faults.update(dict.fromkeys(error.faults))
    if faults:
        raise BadRecord(*faults)
    first, second = sides
    if (first.system, first.turns[:-1], first.prompt) != (second.system, second.turns[:-1], second.prompt):
        raise BadRecord("chosen and rejected differ before their last answers, so they answer different prompts")
    value = record.value
    annotator = next((str(value[key]) for key in ANNOTATORS if not is_blank(value.get(key))), "")
    source = str(value.get("vote_id") or "")
    return Preference(first.turns, first.system, record.where, thoughts=first.thoughts, rejected=second.response,
                      annotator=annotator, source=source)  # fmt: skip


def _side(record: Record, prompt: Any, answer: Any, name: str) -> Row:
    """The conversation that ends in ``answer``; ``name`` is what its column is called."""
    more, answer = _beside(record.value), as_messages(answer)
    if is_blank(prompt) and isinstance(answer, str) and TURN.match(answer):
        value = {**more, "messages": transcript(answer)}
    elif is_blank(prompt) and isinstance(answer, list):
        value = {**more, "messages": answer}
    elif isinstance(prompt, list) and isinstance(answer, list):
        value = {**more, "messages": [*prompt, *answer]}
    elif isinstance(prompt, list) or isinstance(answer, list):
        raise BadRecord(
            f"the prompt is {kind_of(prompt)} and {name} is {kind_of(answer)}; both must be text, or both messages"
        )
    else:
        value = {**more, "prompt": prompt, "response": answer}
    try:
        row = to_row(Record(record.where, value))
    except BadRecord as error:
        faults = [problem.replace("the response", f"the {name} answer") for problem in error.faults]
        raise BadRecord(*(f"{name}: {each}" if "messages" in value else each for each in faults)) from None
    if row.chat:
        raise BadRecord("it calls or offers tools, which preferences can't be trained on; leave such rows out")
    return replace(row, muted=())


def transcript(whole: str) -> list[Mapping[str, str]]:
    """The messages of a transcript of Anthropic's helpful-harmless data: turns after ``Human:`` and ``Assistant:``."""
    parts = TURN.split(whole)[1:]
    return [{"role": ROLES[role], "content": text.strip()} for role, text in zip(parts[::2], parts[1::2], strict=True)]


def header_problems(header: list[str], where: str) -> list[str]:
    """What keeps the first line of a table from naming the columns of a preference."""
    known = any(set(header) >= set(columns) for columns in (("chosen", "rejected"), RATED))
    return (
        [] if known else [f"{where}: the first line must be a header; its columns are {', '.join(header)}; {EXPECTED}"]
    )
