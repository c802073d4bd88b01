"""The interface of evaluation suites: items, the method by which a model answers them, and how answers are scored.

``evals.suites.table.SUITES`` lists the suites. To add one, write a function from a run's held-out rows to a ``Suite``
(or None where it does not apply) and add one entry there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from data.conversation import Row
from data.labelled import SENTIMENTS, AnyRow, Labels
from evals.pairwise import Judge

Item = TypeVar("Item")
Output = TypeVar("Output")
#: ``generate(rows: Sequence[Row]) -> list[str]``: greedy answers to the last prompts of conversations.
#: ``predict(rows: Sequence[AnyRow]) -> list[Prediction]``: the label of each row.
#: ``score_choices(rows: Sequence[QuestionRow]) -> list[Mapping[str, float] | None]``: log-probability in nats of every
#: choice of each question, None where it could not be computed.
#: ``score_answers(items: Sequence[Alternatives]) -> list[np.ndarray]``: log-probabilities in nats of the answers after
#: each prompt, ``[prompts, answers]``.
#: ``score_texts(items: Sequence[Row | str]) -> list[tuple[float, int]]``: loss in nats and number of the tokens of each
#: conversation's answers, or of a text by itself.
#: A model that holds its base too can have ``METHOD_both``, which returns (the base's outputs, its own).
Method = Literal["generate", "predict", "score_choices", "score_answers", "score_texts"]


@dataclass(frozen=True)
class Alternatives:
    """A question in one or more wordings, ``prompts``, and the answers of which one is to be the likeliest.

    ``is_text``: the prompts are plain texts that the answers go on, and not messages in a chat template; a suite has
    items of one kind.
    """

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    is_text: bool = False


class Report(Protocol):
    """What ``Suite.score`` returns."""

    def metrics(self) -> dict[str, float]:
        """The metrics that are defined, by name."""
        ...

    def statistics(self) -> Mapping[str, np.ndarray]:
        """Statistics of each item, ``[items, k]``, of the metrics that are functions of their sums."""
        ...


@dataclass(frozen=True)
class Values:
    """A report that is nothing but metrics, and the statistics of each item that some of them are computed from."""

    values: Mapping[str, float]
    of_items: Mapping[str, np.ndarray] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return dict(self.values)

    def statistics(self) -> Mapping[str, np.ndarray]:
        """Statistics of each item, by metric."""
        return self.of_items


@dataclass(frozen=True)
class HeldOut:
    """A run's held-out rows, the names of the labels 0 and 1, and the seed of resampled intervals.

    ``has_style``: whether a text has the style of the training responses; None where no such test is known.
    ``training_responses``: those of the training rows. ``judge``: from the name of a model to the judge that it is in
    own suites; None where no such suite can be evaluated. ``setting``: what errors call the setting that names suites.
    """

    rows: Sequence[Row] | Sequence[AnyRow]
    labels: Labels = SENTIMENTS
    seed: int = 0
    has_style: Callable[[str], bool] | None = None
    training_responses: Sequence[str] = ()
    judge: Callable[[str], Judge] | None = None
    setting: str = "suites"


@dataclass(frozen=True)
class Suite(Generic[Item, Output]):
    """An evaluation suite.

    ``method`` is the model's method that is called with ``items`` and returns one output for each. ``on_held_out``:
    the items are the run's own held-out rows, so that its metrics are logged by their plain names and not as
    ``NAME/METRIC``. ``max_new_tokens``: of generated answers; 0 takes the model's own limit. ``least_parameters``: on
    smaller models it is evaluated only where it is named. ``reports``: the names of the metrics that an own suite has.
    """

    name: str
    items: Sequence[Item]
    method: Method
    score: Callable[[Sequence[Item], Sequence[Output]], Report]
    on_held_out: bool = False
    max_new_tokens: int = 0
    least_parameters: float = 0
    reports: tuple[str, ...] = ()

    def applies_to(self, model: object) -> bool:
        """Whether the model has the method that the suite calls."""
        return hasattr(model, self.method)

    def evaluate(self, model: object) -> "SuiteResult[Output]":
        """The model's outputs and their report."""
        return self._result(getattr(model, self.method)(*self._arguments))

    def evaluate_both(self, model: object) -> "tuple[SuiteResult[Output], SuiteResult[Output]]":
        """The same of the model's base, and of the model."""
        before, after = getattr(model, f"{self.method}_both")(*self._arguments)
        return self._result(before), self._result(after)

    @property
    def _arguments(self) -> tuple[Any, ...]:
        return (self.items, self.max_new_tokens) if self.max_new_tokens else (self.items,)

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
        return {self._prefix + key: value for key, value in self.report.metrics().items()}

    def statistics(self) -> dict[str, np.ndarray]:
        """Statistics of each item by the same names, see ``Report``."""
        return {self._prefix + key: value for key, value in self.report.statistics().items()}

    @property
    def _prefix(self) -> str:
        return "" if self.suite.on_held_out else f"{self.suite.name}/"
