"""TruthfulQA from a file, a folder or the hub as a retention suite: MC1 and MC2 by the likelihood of given answers."""

from collections.abc import Sequence

import numpy as np

from data.formats import truthfulqa
from data.labelled import QuestionRow
from evals.multiple_choice import evaluate_choices
from evals.suites.report import report
from evals.suites.suite import Alternatives, Suite, Values

NAME = "truthfulqa"


def is_named(name: str) -> bool:
    """Whether a name in ``suites`` is ``truthfulqa``, which is that of the hub, or ``truthfulqa:PLACE``."""
    return name.partition(":")[0] == NAME


def load(name: str) -> Suite[Alternatives, np.ndarray]:
    """The suite of all questions.

    They are asked as a text, ``Q: ...`` and ``A:``, without chat template and without examples, for the reason that
    ``evals.suites.likelihood.facts`` gives; with the benchmark's six examples in front scores are other ones.

    Raises:
        DataError: everything that is wrong with the questions, one line each.
    """
    rows = truthfulqa.load(name.partition(":")[2])
    items = [Alternatives((f"Q: {row.text}\nA:",), tuple(_choices(row)), is_text=True) for row in rows]

    def score(_: Sequence[Alternatives], outputs: Sequence[np.ndarray]) -> Values:
        found = [
            dict(zip(_choices(row), each[0].tolist(), strict=True)) for row, each in zip(rows, outputs, strict=True)
        ]
        return report(NAME, evaluate_choices(rows, found).statistics())

    return Suite(NAME, items, "score_answers", score)


def _choices(row: QuestionRow) -> list[str]:
    """The choices of both scores, each once."""
    return list(dict.fromkeys(text for text, _ in (*row.mc1, *row.mc2)))
