"""Comparisons that answers must win to be called good: the same metric on the same rows, paired, against controls.

A tuned model's answers are compared with its base's answers, with the prompts copied as they are, with the references
of other rows (as in a permutation test: an answer that fits any row fits none), and with the same words in another
order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from evals import text_metrics
from evals.metric import AnswerData, Metric
from evals.metrics import METRICS
from evals.paired import LEAST_ROWS, Difference, difference
from evals.verdict import Finding
from evals.words import pieces

#: Other rows whose references are tried for each answer, spread evenly, and orders of its words.
OTHER_ROWS, ORDERS = 20, 5
#: So few points of chrF at most are no better than none.
MARGIN = 5.0
BASE = "its base"


@dataclass(frozen=True)
class Control:
    """One comparison: ``change`` is the answers' value less that of the control, which ``name`` says in words.

    ``verdict``: that of a model which loses it, or wins by less than ``margin`` at the upper end of the interval.
    ``change`` is None where the comparison says nothing: the metric is undefined, or the control can't differ.
    """

    name: str
    verdict: str
    metric: Metric
    change: Difference | None
    margin: float = 0.0


def controls(against_base: Difference | None, tuned: AnswerData, primary: Metric, seed: int = 0) -> list[Control]:
    """The comparisons of a tuned model's answers.

    Args:
        against_base: the change of ``primary`` from its base.
        primary: the metric by which it is compared with its base and with copied prompts; the others go by chrF.
        seed: of resampled intervals and of shuffled words.
    """
    chrf = METRICS["chrf"]
    return [
        Control(BASE, "not_better", primary, against_base),
        Control("the prompt copied as it is", "not_better", primary, _against_prompts(primary, tuned, seed)),
        Control("other rows' references", "unrelated", chrf, _against_other_rows(tuned, seed), MARGIN),
        Control("the same words in another order", "garbled", chrf, _against_other_orders(tuned, seed), MARGIN),
    ]


def own_references(tuned: AnswerData, seed: int = 0) -> Control:
    """Whether answers fit their own rows' references better than others', however they are worded."""
    return Control("other rows' references", "unrelated", METRICS["chrf"], _against_other_rows(tuned, seed))


def findings(controls: Iterable[Control]) -> Iterator[Finding]:
    """What was lost, and what was won by no more than chance explains."""
    for control in controls:
        change = control.change
        if change is None:
            if control.name == BASE:
                yield Finding("not_shown", f"{control.metric.shown_as} is undefined on these rows")
            continue
        entry = control.metric
        sign = -1 if entry.higher_is_better is False else 1
        figures = f"{entry.shown_as} against {control.name}: {change.text(entry.format)}"
        if change.low is not None and change.high is not None and (change.low if sign > 0 else -change.high) > 0:
            continue
        if change.high is not None and (sign * change.change <= 0 or change.high < control.margin):
            yield Finding(control.verdict, figures)
        else:
            more = f"; {change.more_rows:,} more test rows would decide" if change.more_rows else ""
            yield Finding("not_shown", f"{figures}, which {change.n} rows can't tell from chance{more}")


def _against_prompts(metric: Metric, tuned: AnswerData, seed: int) -> Difference | None:
    """How much the answers differ from the prompts; None for a metric that is no function of answers, as the loss."""
    if metric.statistics is None:
        return None
    copied, own = metric.statistics(replace(tuned, answers=tuned.prompts)), metric.statistics(tuned)
    if not isinstance(copied, np.ndarray) or not isinstance(own, np.ndarray) or copied is own:
        return None
    return metric.difference(copied, own, seed)


def _against_other_rows(tuned: AnswerData, seed: int) -> Difference | None:
    """chrF with an answer's own reference less that with the references of other rows; None where all are the same."""
    n = len(tuned.answers)
    if len(set(tuned.references)) == 1:
        return None
    shifts = sorted({round(k * n / (OTHER_ROWS + 1)) for k in range(1, OTHER_ROWS + 1)} - {0, n})
    own = text_metrics.chrf_statistics(tuned.references, tuned.answers)
    shifted = [[*tuned.references[shift:], *tuned.references[:shift]] for shift in shifts]
    others = np.mean([text_metrics.chrf_statistics(each, tuned.answers) for each in shifted], axis=0)
    return difference(others, own, text_metrics.chrf_of_sums, seed)


def _against_other_orders(tuned: AnswerData, seed: int) -> Difference | None:
    """chrF of the answers less the mean of its counts with their words shuffled; None where few have several words."""
    rng = np.random.default_rng(seed)
    split = [pieces(answer) for answer in tuned.answers]
    rows = [i for i, parts in enumerate(split) if len(set(parts)) > 1]
    if len(rows) < LEAST_ROWS:
        return None
    references = [tuned.references[i] for i in rows]
    own = text_metrics.chrf_statistics(references, [tuned.answers[i] for i in rows])
    orders = [["".join(rng.permutation(split[i])) for i in rows] for _ in range(ORDERS)]
    others = np.mean([text_metrics.chrf_statistics(references, each) for each in orders], axis=0)
    return difference(others, own, text_metrics.chrf_of_sums, seed)
