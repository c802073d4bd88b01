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


def evaluate(model: object, held_out: HeldOut) -> dict[str, SuiteResult[Any]]:
    """The results of all suites that apply to the rows and whose method the model has, by name."""
    made = [suite for make in SUITES.values() if (suite := make(held_out)) is not None]
    return {suite.name: suite.evaluate(model) for suite in made if suite.applies_to(model)}


def metrics(results: dict[str, SuiteResult[Any]]) -> dict[str, float]:
    """The metrics of all results by the names under which they are logged."""
    return {key: value for result in results.values() for key, value in result.metrics().items()}
