"""The table of evaluation suites, and the evaluation of a model by all that apply."""

from collections.abc import Callable
from typing import Any

from evals.suites import held_out as own_rows
from evals.suites.suite import HeldOut, Suite, SuiteResult

#: Every suite by its name: a function from a run's held-out rows to the suite, or to None where it does not apply.
SUITES: dict[str, Callable[[HeldOut], Suite[Any, Any] | None]] = {
    "labels": own_rows.labels,
    "choices": own_rows.choices,
}


#: The results of a model by the names of the suites.
Results = dict[str, SuiteResult[Any]]


def evaluate(model: object, held_out: HeldOut) -> Results:
    """The results of all suites that apply to the rows and whose method the model has, by name."""
    return {suite.name: suite.evaluate(model) for suite in _applicable(model, held_out)}


def evaluate_both(model: object, held_out: HeldOut) -> tuple[Results, Results]:
    """The same of the base that the model holds, and of the model."""
    both = {suite.name: suite.evaluate_both(model) for suite in _applicable(model, held_out)}
    return {name: before for name, (before, _) in both.items()}, {name: after for name, (_, after) in both.items()}


def _applicable(model: object, held_out: HeldOut) -> list[Suite[Any, Any]]:
    made = [suite for make in SUITES.values() if (suite := make(held_out)) is not None]
    return [suite for suite in made if suite.applies_to(model)]


def metrics(results: Results) -> dict[str, float]:
    """The metrics of all results by the names under which they are logged."""
    return {key: value for result in results.values() for key, value in result.metrics().items()}
