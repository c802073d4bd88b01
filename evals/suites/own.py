"""Own retention suites, from YAML or JSON lines: prompts with a scorer each, checked before anything is trained."""

import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from data.conversation import Row
from data.errors import DataError, first_line
from evals.metric import flags
from evals.suites.answers import in_style
from evals.suites.checks import bare
from evals.suites.likelihood import chooses_first
from evals.suites.report import report
from evals.suites.suite import Alternatives, HeldOut, Suite, Values

SUFFIXES = (".yaml", ".yml", ".jsonl")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
KEYS = {"prompt", "scorer", "value", "choices", "labels"}
#: A scorer of generated answers: 0 to 1, or a boolean, from the answer and the item.
Scorer = Callable[[str, Mapping[str, Any]], float]
#: (where an item stands, the item with the settings of its suite filled in)
Item = tuple[str, dict[str, Any]]


def _python(answer: str, item: Mapping[str, Any]) -> float:
    return float(_function(item["value"])(item["prompt"], answer))


def _function(place: str) -> Callable[[str, str], float]:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


SCORERS: dict[str, Scorer] = {
    "exact": lambda answer, item: bare(answer) == bare(item["value"]),
    "contains": lambda answer, item: item["value"].casefold() in answer.casefold(),
    "regex": lambda answer, item: re.search(item["value"], answer) is not None,
    "python": _python,
}
"""By name: ``exact`` without regard to case, quotation marks and final stop; ``python`` calls ``module:function`` with
prompt and answer."""
LIKELIHOOD = ("choice", "label")
"""Scorers by the likeliest answer: of ``choices``, whose first is right, or of ``labels``, of which ``value`` is."""


def is_file(name: str) -> bool:
    """Whether a name in ``suites`` is that of a file."""
    return name.lower().endswith(SUFFIXES)


def load(path: str, held_out: HeldOut) -> Suite[Any, Any]:
    """The suite of a file.

    Raises:
        DataError: everything that is wrong with it, one line each, with the file and the line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError([f"suites={path}: it can't be read ({first_line(error)})"]) from error
    settings, items = (_json_lines if file.suffix.lower() == ".jsonl" else _yaml)(file.name, text)
    name = str(settings.get("name") or file.stem.lower())
    problems = [f"{where}: {problem}" for where, item in items if (problem := _problem(item))]
    if not NAME.fullmatch(name):
        problems.append(f"{file.name}: its name {name!r} must be small letters, digits, - and _")
    kinds = {item.get("scorer") in LIKELIHOOD for _, item in items}
    if not problems and len(kinds) != 1:
        problems.append(f"{file.name}: choice and label can't stand beside scorers of generated answers" if items else
                        f"{file.name}: it has no items")  # fmt: skip
    if problems:
        raise DataError(problems)
    found = [item for _, item in items]
    return _of_likelihood(name, found) if True in kinds else _of_answers(name, found, settings, held_out)


def _of_answers(
    name: str, items: Sequence[dict[str, Any]], settings: Mapping[str, Any], held_out: HeldOut
) -> Suite[Row, str]:
    def score(rows: Sequence[Row], answers: Sequence[str]) -> Values:
        points = [float(SCORERS[item["scorer"]](text, item)) for item, text in zip(items, answers, strict=True)]
        scored = np.stack([points, np.ones(len(points))], axis=-1)
        return report(name, {"accuracy": scored, **in_style(answers, held_out.has_style)})

    rows = [Row(((item["prompt"], ""),)) for item in items]
    return Suite(name, rows, "generate", score, max_new_tokens=int(settings.get("max_new_tokens", 0)))


def _of_likelihood(name: str, items: Sequence[dict[str, Any]]) -> Suite[Alternatives, np.ndarray]:
    def answers(item: Mapping[str, Any]) -> tuple[str, ...]:
        if item["scorer"] == "choice":
            return tuple(map(str, item["choices"]))
        return (item["value"], *(each for each in item["labels"] if each != item["value"]))

    def score(_: Sequence[Alternatives], outputs: Sequence[np.ndarray]) -> Values:
        return report(name, {"accuracy": flags(map(chooses_first, outputs))})

    alternatives = [Alternatives((item["prompt"],), answers(item)) for item in items]
    return Suite(name, alternatives, "score_answers", score)


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
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise DataError([f"{name}{line}: it is not YAML ({getattr(error, 'problem', None) or error})"]) from error
    if not isinstance(found, dict) or not isinstance(node, yaml.MappingNode):
        raise DataError([f"{name}: it must be a mapping with name, scorer and items or prompts"])
    if unknown := set(found) - KEYS - {"name", "items", "prompts", "max_new_tokens"}:
        raise DataError([f"{name}: {', '.join(sorted(map(str, unknown)))} is no setting of a suite"])
    shared = {key: found[key] for key in KEYS & set(found)}
    return found, list(_items(name, found, node, shared))


def _items(name: str, found: Mapping[str, Any], node: yaml.MappingNode, shared: Mapping[str, Any]) -> Iterator[Item]:
    lists = {key.value: value for key, value in node.value}
    for key in ("items", "prompts"):
        for each, place in zip(found.get(key) or [], getattr(lists.get(key), "value", []), strict=False):
            item = {"prompt": each} if key == "prompts" else each
            yield f"{name} line {place.start_mark.line + 1}", {**shared, **item} if isinstance(item, dict) else item


def _problem(item: Any) -> str:
    """What is wrong with an item; empty where it is right."""
    if not isinstance(item, dict) or not (isinstance(item.get("prompt"), str) and item["prompt"].strip()):
        return "it has no prompt"
    scorer = item.get("scorer")
    if scorer not in (*SCORERS, *LIKELIHOOD):
        return f"its scorer is {scorer!r}; there are {', '.join((*SCORERS, *LIKELIHOOD))}"
    if unknown := set(item) - KEYS:
        return f"{', '.join(sorted(map(str, unknown)))} is not used"
    if scorer == "choice":
        choices = item.get("choices")
        return "" if _texts(choices) else "choice needs choices, two texts or more, the right one first"
    if not isinstance(item.get("value"), str):
        return f"{scorer} needs a value, a text"
    if scorer == "label":
        labels = item.get("labels")
        return "" if _texts(labels) and item["value"] in labels else "label needs labels, of which value is one"
    return _value_problem(scorer, item["value"])


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(set(map(str, value))) == len(value) >= 2


def _value_problem(scorer: str, value: str) -> str:
    try:
        if scorer == "regex":
            re.compile(value)
        if scorer == "python":
            _function(value)
    except (re.error, ImportError, AttributeError, ValueError) as error:
        return f"its value {value!r} can't be used ({first_line(error)})"
    return ""
