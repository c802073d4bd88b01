"""Own retention suites, from YAML or JSON lines: prompts with a scorer each, checked before anything is trained."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from data.conversation import Row
from data.errors import ConfigError, UserError, explain
from evals.metric import flags
from evals.suites import own_files
from evals.suites.answers import in_style
from evals.suites.checks import bare
from evals.suites.judge import judge_answers, statistics
from evals.suites.likelihood import chooses_first
from evals.suites.own_files import JUDGE, LIKELIHOOD, SUFFIXES, function
from evals.suites.report import report
from evals.suites.suite import Alternatives, HeldOut, Suite, Values

#: A scorer of generated answers: 0 to 1, or a boolean, from the answer and the item.
Scorer = Callable[[str, Mapping[str, Any]], float]


def _python(answer: str, item: Mapping[str, Any]) -> float:
    name = item["value"]
    try:
        found = float(function(name)(item["prompt"], answer))
    except Exception as error:  # the function is the user's
        raise UserError(f"the scorer {name} fails on the prompt {item['prompt'][:60]!r} ({explain(error)})") from error
    if not 0 <= found <= 1:
        raise UserError(f"the scorer {name} returns {found:g} for {item['prompt'][:60]!r}; it must be 0 to 1")
    return found


SCORERS: dict[str, Scorer] = {
    "exact": lambda answer, item: bare(answer) == bare(item["value"]),
    "contains": lambda answer, item: item["value"].casefold() in answer.casefold(),
    "regex": lambda answer, item: re.search(item["value"], answer) is not None,
    "python": _python,
}
"""By name: ``exact`` without regard to case, quotation marks and final stop; ``python`` calls ``module:function`` with
prompt and answer. The scorer ``judge`` (``evals.suites.judge``) takes all answers at once."""


def is_file(name: str) -> bool:
    """Whether a name in ``suites`` is that of a file."""
    return name.lower().endswith(SUFFIXES)


def load(path: str, held_out: HeldOut) -> Suite[Any, Any]:
    """The suite of a file.

    Raises:
        DataError: everything that is wrong with it, one line each, with the file and the line.
        UserError: there is no such judge.
    """
    file = own_files.read(path, (*SCORERS, JUDGE, *LIKELIHOOD), held_out.setting)
    if file.is_likelihood:
        return _of_likelihood(file.name, file.items)
    names = dict.fromkeys(item["judge"] for item in file.items if item["scorer"] == JUDGE)
    if names and held_out.judge is None:
        raise ConfigError(f"{held_out.setting}={path}: there is no judge here, so the scorer must be another one")
    judge = cache(held_out.judge) if held_out.judge else None
    for name in names:
        assert judge
        judge(name)
    return _of_answers(file, held_out, judge)


def _of_answers(file: own_files.SuiteFile, held_out: HeldOut, judge: Callable[[str], Any] | None) -> Suite[Row, str]:
    items = file.items

    def score(_: Sequence[Row], answers: Sequence[str]) -> Values:
        scored = np.ones((len(items), 2))
        by_judge = [i for i, item in enumerate(items) if item["scorer"] == JUDGE]
        for i in set(range(len(items))) - set(by_judge):
            scored[i, 0] = SCORERS[items[i]["scorer"]](answers[i], items[i])
        found = {"accuracy": scored}
        if judge and by_judge:
            judgements = judge_answers(judge, [items[i] for i in by_judge], [answers[i] for i in by_judge])
            scored[by_judge] = [(each.value, 1) if each.is_valid else (0, 0) for each in judgements]
            found |= statistics(judgements)
        return report(file.name, {**found, **in_style(answers, held_out.has_style)})

    rows = [Row(((item["prompt"], ""),)) for item in items]
    of_judge = tuple(statistics(())) if any(item["scorer"] == JUDGE for item in items) else ()
    names = ("accuracy", *of_judge, *in_style((), held_out.has_style))
    return Suite(file.name, rows, "generate", score, max_new_tokens=file.max_new_tokens, reports=names)


def _of_likelihood(name: str, items: Sequence[dict[str, Any]]) -> Suite[Alternatives, np.ndarray]:
    def answers(item: Mapping[str, Any]) -> tuple[str, ...]:
        if item["scorer"] == "choice":
            return tuple(map(str, item["choices"]))
        return (item["value"], *(str(each) for each in item["labels"] if each != item["value"]))

    def score(_: Sequence[Alternatives], outputs: Sequence[np.ndarray]) -> Values:
        return report(name, {"accuracy": flags(map(chooses_first, outputs))})

    alternatives = [Alternatives((item["prompt"],), answers(item)) for item in items]
    return Suite(name, alternatives, "score_answers", score, reports=("accuracy",))
