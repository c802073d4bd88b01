"""The suites of a run's own held-out rows: labelled texts, and questions with given answers."""

from collections.abc import Sequence

from data.labelled import LabelledRow, QuestionRow
from evals.classification import ClassificationReport, Prediction, evaluate
from evals.multiple_choice import LogProbs, evaluate_choices
from evals.suites.suite import HeldOut, Suite


def labels(held_out: HeldOut) -> Suite[LabelledRow, Prediction] | None:
    """Texts that get one of two labels; None where the rows are something else."""
    rows = [row for row in held_out.rows if isinstance(row, LabelledRow)]

    def score(items: Sequence[LabelledRow], outputs: Sequence[Prediction]) -> ClassificationReport:
        return evaluate([row.label for row in items], outputs, held_out.labels, held_out.seed)

    return Suite("labels", rows, "predict", score, on_held_out=True) if rows else None


def choices(held_out: HeldOut) -> Suite[QuestionRow, LogProbs | None] | None:
    """Questions whose given answers are compared by likelihood: TruthfulQA's MC1 and MC2; None without questions."""
    rows = [row for row in held_out.rows if isinstance(row, QuestionRow)]
    return Suite("choices", rows, "score_choices", evaluate_choices, on_held_out=True) if rows else None
