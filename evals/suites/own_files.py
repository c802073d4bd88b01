"""The files of own retention suites: YAML or JSON lines, read and checked item by item."""

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from data.errors import DataError, first_line

SUFFIXES = (".yaml", ".yml", ".jsonl")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
JUDGE = "judge"
LIKELIHOOD = ("choice", "label")
"""Scorers by the likeliest answer: of ``choices``, whose first is right, or of ``labels``, of which ``value`` is."""
KEYS = {"prompt", "scorer", "value", "choices", "labels", "judge"}
LISTS = ("items", "prompts")
SETTINGS = {"name", "max_new_tokens", *LISTS}
QUOTES = "YAML reads yes, no and numbers as no texts: put them in quotes"
#: (where an item stands, the item with the settings of its suite filled in)
Item = tuple[str, Any]


@dataclass(frozen=True)
class SuiteFile:
    """A suite's name and its items, all scored by likelihood or none; ``max_new_tokens`` is 0 where it has none."""

    name: str
    items: Sequence[dict[str, Any]]
    is_likelihood: bool
    max_new_tokens: int = 0


def read(path: str, scorers: Sequence[str], setting: str = "suites") -> SuiteFile:
    """The suite in a file, which ``setting`` names.

    Raises:
        DataError: everything that is wrong with it, one line each, with the file and the line.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError([f"{setting}={path}: it is no UTF-8 text"]) from error
    except OSError as error:
        raise DataError([f"{setting}={path}: it can't be read ({error.strerror})"]) from error
    settings, items = (_json_lines if file.suffix.lower() == ".jsonl" else _yaml)(file.name, text)
    name = str(settings.get("name") or file.stem.lower())
    problems = [f"{where}: {problem}" for where, item in items if (problem := _problem(item, scorers))]
    if not NAME.fullmatch(name):
        problems.append(f"{file.name}: its name {name!r} must be small letters, digits, - and _")
    longest = settings.get("max_new_tokens", 0)
    if isinstance(longest, bool) or not isinstance(longest, int) or ("max_new_tokens" in settings and longest < 1):
        problems.append(f"{file.name}: max_new_tokens must be a whole number from 1, not {longest!r}")
    if not items:
        problems.append(f"{file.name}: it has no items")
    kinds = {item["scorer"] in LIKELIHOOD for _, item in items} if not problems else set()
    if len(kinds) > 1:
        problems.append(f"{file.name}: choice and label can't stand beside scorers of generated answers")
    if problems:
        raise DataError(problems)
    return SuiteFile(name, [item for _, item in items], kinds == {True}, longest)


def function(place: str) -> Callable[[str, str], float]:
    """The function that ``module:function`` names.

    Raises:
        ImportError: there is no such module; what it raises while it is loaded goes through, too.
        AttributeError: it has no such function.
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def _json_lines(name: str, text: str) -> tuple[dict[str, Any], list[Item]]:
    items, problems = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            items += [(f"{name} line {number}", json.loads(line))] if line.strip() else []
        except ValueError as error:
            problems.append(f"{name} line {number}: it is not JSON ({first_line(error)})")
    if problems:
        raise DataError(problems)
    return {}, items


def _yaml(name: str, text: str) -> tuple[dict[str, Any], list[Item]]:
    try:
        found, node = yaml.safe_load(text), yaml.compose(text)
    except (yaml.YAMLError, ValueError) as error:  # such as a date that there is not
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise DataError([f"{name}{line}: it is not YAML ({getattr(error, 'problem', None) or error})"]) from error
    if not isinstance(found, dict) or not isinstance(node, yaml.MappingNode):
        raise DataError([f"{name}: it must be a mapping with name, scorer and items or prompts"])
    problems = [f"{name} line {key.start_mark.line + 1}: {key.value} stands twice" for key in _repeated(node)]
    if unknown := set(found) - KEYS - SETTINGS:
        problems.append(f"{name}: {', '.join(sorted(map(str, unknown)))} is no setting of a suite")
    problems += [f"{name}: {key} must be a list" for key in LISTS if not isinstance(found.get(key) or [], list)]
    if problems:
        raise DataError(problems)
    shared = {key: found[key] for key in KEYS & set(found)}
    return found, list(_items(name, found, node, shared))


def _repeated(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that stand twice in one mapping, of which YAML keeps the last, anywhere in ``node``."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _repeated(each)
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        yield from (key for i, (key, _) in enumerate(node.value) if key.value in names[:i])
        for _, each in node.value:
            yield from _repeated(each)


def _items(name: str, found: Mapping[str, Any], node: yaml.MappingNode, shared: Mapping[str, Any]) -> Iterator[Item]:
    lists = {key.value: value for key, value in node.value}
    for key in LISTS:
        for each, place in zip(found.get(key) or [], getattr(lists.get(key), "value", []), strict=False):
            item = {"prompt": each} if key == "prompts" else each
            yield f"{name} line {place.start_mark.line + 1}", {**shared, **item} if isinstance(item, dict) else item


def _problem(item: Any, scorers: Sequence[str]) -> str:
    """What is wrong with an item; empty where it is right."""
    if not isinstance(item, dict) or not (isinstance(item.get("prompt"), str) and item["prompt"].strip()):
        return "it has no prompt, a text"
    scorer = str(item.get("scorer"))
    if scorer not in scorers:
        return f"its scorer is {item.get('scorer')!r}; there are {', '.join(scorers)}"
    if unknown := set(item) - KEYS:
        return f"{', '.join(sorted(map(str, unknown)))} is not used"
    if scorer == "choice":
        return (
            "" if _texts(item.get("choices")) else f"choice needs choices, two or more, the right one first; {QUOTES}"
        )
    if not isinstance(item.get("value"), str) or not item["value"].strip():
        return f"{scorer} needs a value, a text; {QUOTES}"
    if scorer == "label":
        labels = item.get("labels")
        return (
            "" if _texts(labels) and item["value"] in labels else f"label needs labels, of which value is one; {QUOTES}"
        )
    if scorer == JUDGE and not (isinstance(item.get(JUDGE), str) and item[JUDGE].strip()):
        return "judge needs a judge: a registered version such as pirate/3, or openai:MODEL"
    return _value_problem(scorer, item["value"])


def _texts(value: Any) -> bool:
    """Whether it is a list of different answers, which are texts or whole numbers."""
    if not isinstance(value, list):
        return False
    known = [str(each) for each in value if isinstance(each, str) or type(each) is int]
    return len(known) == len(value) and len(set(known)) == len(known) >= 2


def _value_problem(scorer: str, value: str) -> str:
    try:
        if scorer == "regex":
            re.compile(value)
        if scorer == "python":
            if not callable(found := function(value)):
                return f"its value {value!r} is no function"
            signature(found).bind("prompt", "answer")
    except TypeError as error:
        return f"its value {value!r} can't be called with prompt and answer ({first_line(error)})"
    except Exception as error:  # a module of the user's can raise anything
        return f"its value {value!r} can't be used ({first_line(error)})"
    return ""
