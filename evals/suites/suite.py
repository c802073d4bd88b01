"""The interface of evaluation suites: items, the method by which a model answers them, and how answers are scored.

``evals.suites.table.SUITES`` lists the suites. To add one, write a function from a run's held-out rows to a ``Suite``
(or None where it does not apply) and add one entry there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from data.conversation import Row
from data.labelled import SENTIMENTS, AnyRow, Labels

Item = TypeVar("Item")
Output = TypeVar("Output")
#: ``generate(rows: Sequence[Row]) -> list[str]``: greedy answers to the last prompts of conversations.
#: ``predict(rows: Sequence[AnyRow]) -> list[Prediction]``: the label of each row.
#: ``score_choices(rows: Sequence[QuestionRow]) -> list[Mapping[str, float] | None]``: log-probability in nats of every
#: choice of each question, None where it could not be computed.
#: A model that holds its base too can have ``METHOD_both``, which returns (the base's outputs, its own).
Method = Literal["generate", "predict", "score_choices"]


class Report(Protocol):
    """What ``Suite.score`` returns."""

    def metrics(self) -> dict[str, float]:
        """The metrics that are defined, by name."""
        ...


@dataclass(frozen=True)
class Values:
    """A report that is nothing but metrics."""

    values: Mapping[str, float]

    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return dict(self.values)


@dataclass(frozen=True)
class HeldOut:
    """A run's held-out rows, the names of the labels 0 and 1, and the seed of resampled intervals."""

    rows: Sequence[Row] | Sequence[AnyRow]
    labels: Labels = SENTIMENTS
    seed: int = 0


@dataclass(frozen=True)
class Suite(Generic[Item, Output]):
    """An evaluation suite.

    ``method`` is the model's method that is called with ``items`` and returns one output for each. ``on_held_out``:
    the items are the run's own held-out rows, so that its metrics are logged by their plain names and not as
    ``NAME/METRIC``.
    """

    name: str
    items: Sequence[Item]
    method: Method
    score: Callable[[Sequence[Item], Sequence[Output]], Report]
    on_held_out: bool = False

    def applies_to(self, model: object) -> bool:
        """Whether the model has the method that the suite calls."""
        return hasattr(model, self.method)

    def evaluate(self, model: object) -> "SuiteResult[Output]":
        """The model's outputs and their report."""
        return self._result(getattr(model, self.method)(self.items))

    def evaluate_both(self, model: object) -> "tuple[SuiteResult[Output], SuiteResult[Output]]":
        """The same of the model's base, and of the model."""
        before, after = getattr(model, f"{self.method}_both")(self.items)
        return self._result(before), self._result(after)

    def _result(self, outputs: Sequence[Output]) -> "SuiteResult[Output]":
        return SuiteResult(self, outputs, self.score(self.items, outputs))


@dataclass(frozen=True)
class SuiteResult(Generic[Output]):
    """One model on one suite: its outputs in the order of the items, and the report on them."""

    suite: Suite[Any, Output]
    outputs: Sequence[Output]
    report: Report

    def metrics(self) -> dict[str, float]:
        """The metrics by the names under which they are logged after ``base/`` and ``test/``."""
        prefix = "" if self.suite.on_held_out else f"{self.suite.name}/"
        return {f"{prefix}{key}": value for key, value in self.report.metrics().items()}
