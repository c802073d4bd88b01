"""Calls of tools in an answer: the grammar that constrains them, and the reader that takes them out of its text."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.tool_format import ToolFormat
from inference.constraints import LEAD, START, json_grammar, json_rule

MOST_CALLS = 16  # of one answer
ANY_TEXT = "TEXT: /(.|\\n)*/"


@dataclass(frozen=True)
class ToolUse:
    """How an answer may call tools.

    ``messages`` and ``tools``: OpenAI's objects, tools as the prompt lists them. ``names``: those that may be called;
    without any the answer is text. ``required``: whether one must be called. ``parallel``: whether several may be.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    names: tuple[str, ...] = ()
    required: bool = False
    parallel: bool = True


def has_tools(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether ``messages`` hold calls or their results."""
    return any(message["role"] == "tool" or message.get("tool_calls") for message in messages)


def parameters_grammar(tool: Mapping[str, Any]) -> str:
    """The grammar of the arguments of ``tool`` alone.

    Raises:
        GrammarError: its schema can't be written.
    """
    return json_grammar(parameters_of(tool))


def parameters_of(tool: Mapping[str, Any]) -> Any:
    """The schema of a tool's arguments; a tool without one takes none."""
    return tool["function"].get("parameters") or {"type": "object", "properties": {}, "additionalProperties": False}


def call_grammar(found: ToolFormat, use: ToolUse, control: Mapping[str, int], answer: str | None = None) -> str:
    """The grammar of answers that call tools as ``found`` writes calls.

    Args:
        control: the ids of control tokens by their names, which are no text in a grammar.
        answer: the grammar by ``json_grammar`` of an answer without calls, where that is not any text.

    Raises:
        GrammarError: a schema can't be written.
    """
    called = [tool for tool in use.tools if tool["function"]["name"] in use.names]
    rules = [
        f"call_{i}: {_literal(tool['function']['name'] + found.between, control)} arguments_{i}\n"
        f"arguments_{i}: {json_rule(parameters_of(tool))}"
        for i, tool in enumerate(called)
    ]
    joint = "" if found.joint is None or not use.parallel else (
        f" ({_literal(found.joint, control)} call){{0,{MOST_CALLS - 1}}}"
    )  # fmt: skip
    after = _literal(found.after, control)
    rules += [f"call: {' | '.join(f'call_{i}' for i in range(len(called)))}", f"rest: call{joint} {after}"]
    start = found.before.lstrip()
    calls = f"calls: {_literal(start, control)} rest"
    if use.required:
        return "\n".join([f"{START}calls", LEAD, calls, *rules, ""])
    if answer is not None:
        head = f"{START}answer"
        return answer.replace(head, f"{START}(answer | calls)", 1) + "\n".join([calls, *rules, ""])
    return "\n".join([*_free(found, use, control), calls, *rules, ""])


def _free(found: ToolFormat, use: ToolUse, control: Mapping[str, int]) -> list[str]:
    """The rules of an answer in text that may call: a call must follow wherever its first tag has been written."""
    start = found.before.lstrip()
    if not found.is_tagged:
        other = re.sub(r"(?<!\\)/", r"\\/", re.escape(start))
        return ["start: LEAD? calls | OTHER", LEAD, f"OTHER: /(?s:.*)/ & ~/[ \\n]{{0,2}}{other}(?s:.*)/"]
    trigger, more = found.trigger, start.removeprefix(found.trigger)
    lazy = "" if trigger in control else "[lazy]"
    tagged = [
        f"head{lazy}: TEXT {_literal(trigger, control)}",
        f"tagged: head {_literal(more, control)} rest",
        "end: TEXT",
    ]
    return [f"start: {'tagged* end' if use.parallel else 'tagged | end'}", ANY_TEXT, *tagged]


def _literal(text: str, control: Mapping[str, int]) -> str:
    """``text`` in a rule; control tokens in it by their ids."""
    names = "|".join(re.escape(name) for name in sorted(control, key=len, reverse=True)) or "(?!)"
    parts = re.split(f"({names})", text)
    return " ".join(f"<[{control[part]}]>" if part in control else json.dumps(part) for part in parts if part) or '""'


@dataclass(frozen=True)
class CallPart:
    """A part of an answer: text, or of call number ``call`` its ``name`` or a piece of its arguments."""

    text: str = ""
    call: int | None = None
    name: str = ""


class ToolCallReader:
    """Takes calls out of an answer's text as it comes; what could begin a call is held back until it does, or can't."""

    def __init__(self, found: ToolFormat, control: re.Pattern[str]) -> None:
        self._format, self._control = found, control
        self._before = found.before.lstrip()
        self._held, self._state, self._is_free = "", "text", False
        self._depth, self._in_string, self._is_escaped = 0, False, False
        #: Calls that have begun.
        self.calls = 0

    def feed(self, text: str) -> list[CallPart]:
        """The parts that are known once ``text`` has come."""
        self._held += text
        parts: list[CallPart] = []
        while step := getattr(self, f"_{self._state}")(parts):
            self._state = step
        return parts

    def end(self) -> list[CallPart]:
        """What is left once the answer has ended."""
        left, self._held = self._held, ""
        if self._state == "text" and left:
            return self._outside(left)
        return [CallPart(left, self.calls - 1)] if self._state == "arguments" and left else []

    def _text(self, parts: list[CallPart]) -> str:
        """Outside of calls; returns the state after it, empty where more text is needed."""
        found = self._format
        if not found.is_tagged:
            if self._before.startswith(self._held) or self._is_free:
                parts += self._pass(len(self._held)) if self._is_free else []
                return ""
            self._is_free = not self._held.startswith(self._before)
            at = -1 if self._is_free else 0
        else:
            at = self._held.find(found.trigger)
        if at < 0:
            parts += self._pass(len(self._held) - _overlap(self._held, found.trigger))
            return ""
        parts += self._pass(at)
        if len(self._held) < len(self._before):
            return ""
        self._held = self._held.removeprefix(self._before)
        return "name"

    def _name(self, parts: list[CallPart]) -> str:
        name, is_whole, rest = self._held.partition(self._format.between)
        if not is_whole:
            return ""
        self._held, self._depth = rest, 0
        parts.append(CallPart(call=self.calls, name=name))
        self.calls += 1
        return "arguments"

    def _arguments(self, parts: list[CallPart]) -> str:
        for at, character in enumerate(self._held):
            self._read(character)
            if self._depth == 0:
                parts.append(CallPart(self._held[: at + 1], self.calls - 1))
                self._held = self._held[at + 1 :]
                return "after"
        if self._held:
            parts.append(CallPart(self._held, self.calls - 1))
            self._held = ""
        return ""

    def _read(self, character: str) -> None:
        """Follow the nesting of the arguments, which are a JSON object."""
        if self._is_escaped:
            self._is_escaped = False
        elif self._in_string:
            self._in_string, self._is_escaped = character != '"', character == "\\"
        elif character == '"':
            self._in_string = True
        else:
            self._depth += (character in "{[") - (character in "}]")

    def _after(self, parts: list[CallPart]) -> str:
        joint, after = self._format.joint, self._format.after
        if joint is not None and self._held.startswith(joint):
            self._held = self._held.removeprefix(joint)
            return "name"
        if any(each is not None and each.startswith(self._held) and each != self._held for each in (joint, after)):
            return ""
        self._held = self._held.removeprefix(after)
        return "text"

    def _pass(self, count: int) -> list[CallPart]:
        text, self._held = self._held[:count], self._held[count:]
        return self._outside(text)

    def _outside(self, text: str) -> list[CallPart]:
        shown = self._control.sub("", text)
        return [CallPart(shown)] if shown else []


def _overlap(text: str, start: str) -> int:
    """Length of the longest end of ``text`` with which ``start`` begins."""
    return max((n for n in range(1, len(start)) if text.endswith(start[:n])), default=0)
