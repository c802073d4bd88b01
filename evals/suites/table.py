"""The table of evaluation suites, the choice among them, and the evaluation of a model by all that apply."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from data.errors import ConfigError
from data.progress import progress_bar
from evals.suites import answers, likelihood, truthfulqa
from evals.suites import held_out as own_rows
from evals.suites import own as files
from evals.suites.suite import HeldOut, Suite, SuiteResult

#: Every suite by its name: a function from a run's held-out rows to the suite, or to None where it does not apply.
SUITES: dict[str, Callable[[HeldOut], Suite[Any, Any] | None]] = {
    "labels": own_rows.labels,
    "choices": own_rows.choices,
    "everyday": likelihood.everyday,
    "facts": likelihood.facts,
    "instructions": answers.instructions,
    "refusals": answers.refusals,
    "sycophancy": likelihood.sycophancy,
    "spread": answers.spread,
}


#: The results of a model by the names of the suites.
Results = dict[str, SuiteResult[Any]]


def choose(held_out: HeldOut, setting: str = "auto", parameters: float = 0) -> list[Suite[Any, Any]]:
    """The suites of the held-out rows that apply, and the others that ``setting`` chooses.

    Args:
        setting: ``auto`` takes all that mean something for a model of so many ``parameters``; ``none``; or names, files
            (``evals.suites.own``) and ``truthfulqa:PLACE``, separated by commas.

    Raises:
        ConfigError: there is no suite of a name.
        DataError: a file can't be used.
    """
    made = {name: suite for name, make in SUITES.items() if (suite := make(held_out)) is not None}
    others = {name: suite for name, suite in made.items() if not suite.on_held_out}
    own = [suite for suite in made.values() if suite.on_held_out]
    if setting == "auto":
        return own + [suite for suite in others.values() if suite.least_parameters <= parameters]
    if setting == "none":
        return own
    chosen = [_made(name, others, held_out) for name in names_in(setting, held_out.setting)]
    if taken := {suite.name for suite in chosen if suite.name in made and suite is not made[suite.name]}:
        raise ConfigError(
            f"{held_out.setting}: the name {', '.join(sorted(taken))} is that of a bundled suite; give the file another"
        )
    names = [suite.name for suite in chosen]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"{held_out.setting}: there are two suites with the name {', '.join(twice)}; give one another name"
        )
    return own + chosen


def names_in(names: str, setting: str = "suites") -> list[str]:
    """The ``names`` of a list that is separated by commas, each once.

    Raises:
        ConfigError: it has none.
    """
    found = list(dict.fromkeys(filter(None, map(str.strip, names.split(",")))))
    if not found:
        raise ConfigError(f"{setting} must be auto, none, or names of suites separated by commas")
    return found


def _made(name: str, suites: Mapping[str, Suite[Any, Any]], held_out: HeldOut) -> Suite[Any, Any]:
    if truthfulqa.is_named(name):
        return truthfulqa.load(name)
    if files.is_file(name):
        return files.load(name, held_out)
    if name not in suites:
        raise ConfigError(
            f"{held_out.setting}={name}: there is no such suite; the bundled ones are {', '.join(suites)}; beside "
            f"them are truthfulqa:FILE and files that end in {', '.join(files.SUFFIXES)}"
        )
    return suites[name]


def evaluate(model: object, suites: Sequence[Suite[Any, Any]]) -> Results:
    """The results of those suites whose method the model has, by name."""
    return {suite.name: suite.evaluate(model) for suite in _counted(suites, model)}


def _counted(suites: Sequence[Suite[Any, Any]], model: object) -> Iterator[Suite[Any, Any]]:
    """Those whose method the model has, under a progress bar."""
    chosen = [suite for suite in suites if suite.applies_to(model)]
    with progress_bar(len(chosen), "suites", "suite") as bar:
        for suite in chosen:
            yield suite
            bar.update()


def evaluate_both(model: object, suites: Sequence[Suite[Any, Any]]) -> tuple[Results, Results]:
    """The same of the base that the model holds, and of the model."""
    both = {suite.name: suite.evaluate_both(model) for suite in _counted(suites, model)}
    return {name: before for name, (before, _) in both.items()}, {name: after for name, (_, after) in both.items()}


def metrics(results: Results) -> dict[str, float]:
    """The metrics of all results by the names under which they are logged."""
    return {key: value for result in results.values() for key, value in result.metrics().items()}


def statistics(results: Results) -> dict[str, np.ndarray]:
    """The statistics of items of all results, ``[items, k]``, by the same names."""
    return {key: value for result in results.values() for key, value in result.statistics().items()}
