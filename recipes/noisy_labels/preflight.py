"""Checks of the data before training: errors that stop the job, warnings, and what it will cost and can show."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log2, sqrt

from data.chat_template import SPECIAL_TOKENS
from data.conversation import Row
from data.corruption import Corrupted
from data.duplicates import unique
from data.labelled import AnyRow, LabelledRow, Labels, QuestionRow, is_sorted
from data.progress import progress_bar
from data.prompts import PromptTemplate, conversation
from evals import power
from openai_jobs.prices import Price
from openai_jobs.token_counter import estimated_tokens
from recipes.preflight import Preflight

#: Youden's J of the given labels, |1 - 2 rate| for symmetric noise, below which they hold almost no information.
LEAST_INFORMATION = 0.1
#: A Wald-Wolfowitz z below this means that rows come in runs of one label (p < 1e-9 for shuffled rows).
CLUSTERED_Z = -6.0


@dataclass(frozen=True)
class Plan:
    """How the rows will be used.

    ``count_tokens`` counts a conversation as the model sees it. ``max_tokens`` is the longest that the model accepts, 0
    for no limit. ``evaluations`` is how many models predict the test rows (base and tuned: 2); with 0 tokens and cost
    are left out.
    """

    template: PromptTemplate
    count_tokens: Callable[[Row], int] = estimated_tokens
    max_tokens: int = 0
    special_tokens: Sequence[str] = SPECIAL_TOKENS
    epochs: int = 1
    evaluations: int = 2
    price: Price | None = None


def check(train: Corrupted, test: Sequence[AnyRow], labels: Labels, plan: Plan) -> Preflight:
    """Check training and test rows; pure: nothing is read or written."""
    numbers: dict[str, float] = {}
    errors = [
        *_class_errors("training", train.rows, labels),
        *_class_errors("test", test, labels),
        *_leaks(train.rows, test),
        *_special(train.rows, test, plan),
    ]
    warnings = [*_copies("training", train.rows), *_copies("test", test), *_information(train, numbers)]
    warnings += _imbalance(test, labels)
    lengths, test_lengths = _lengths(train.rows, labels, plan), _lengths(test, labels, plan)
    errors += _too_long([*train.rows, *test], [*lengths, *test_lengths], plan.max_tokens)
    cost = _cost(sum(lengths), sum(test_lengths), len(test), plan, numbers) if plan.evaluations else ()
    facts = [*cost, *_smallest_effect(len(test), numbers)]
    return Preflight(errors, warnings, facts, numbers)


def _lengths(rows: Sequence[AnyRow], labels: Labels, plan: Plan) -> list[int]:
    """Tokens of each row's conversation."""
    found = []
    with progress_bar(len(rows), "checking lengths", "row") as bar:
        for row in rows:
            found.append(plan.count_tokens(conversation(row, labels, plan.template)))
            bar.update()
    return found


def _class_errors(which: str, rows: Sequence[AnyRow], labels: Labels) -> Iterator[str]:
    if not rows:
        yield f"there are no {which} rows"
        return
    if isinstance(rows[0], QuestionRow):  # questions have no classes: label 1 is the best answer, 0 a wrong one
        return
    given = [row.label for row in rows]
    if len(set(given)) == 1:
        yield (
            f"all {len(given):,} {which} rows have the label {labels[given[0]]}: a model that always answers so scores "
            "1.0; two classes are needed"
        )
    elif is_sorted(given) or _runs_z(given) < CLUSTERED_Z:
        first = next(i for i, label in enumerate(given) if label != given[0])
        yield (
            f"the {which} rows are sorted by label (the first {first:,} are {labels[given[0]]}), so the first rows are "
            "no random sample; shuffle the file"
        )


def _runs_z(labels: Sequence[int]) -> float:
    """Runs of equal labels against shuffled labels, in standard deviations (Wald and Wolfowitz 1940)."""
    ones, n = sum(labels), len(labels)
    zeros = n - ones
    runs = 1 + sum(a != b for a, b in zip(labels, labels[1:], strict=False))
    mean = 2 * ones * zeros / n + 1
    variance = (mean - 1) * (mean - 2) / (n - 1)
    return (runs - mean) / sqrt(variance) if variance > 0 else 0.0


def _leaks(train: Sequence[AnyRow], test: Sequence[AnyRow]) -> Iterator[str]:
    shared = unique(test).shared(unique(train)) if train and test else []  # type: ignore[type-var]
    if shared:
        row, other = shared[0]
        yield (
            f"{len(shared):,} test rows are trained on (the first: {row.where} is {other.where}), so the test would "
            "measure memorisation"
        )


def _copies(which: str, rows: Sequence[AnyRow]) -> Iterator[str]:
    found = unique(rows)  # type: ignore[type-var]
    if found.copies:
        yield f"{found.copies:,} {which} rows repeat another one's text"
    if found.contradictions:
        yield f"{found.contradictions:,} {which} rows have a text that occurs with both labels"


def _special(train: Sequence[AnyRow], test: Sequence[AnyRow], plan: Plan) -> Iterator[str]:
    if not plan.special_tokens:
        return
    pattern = re.compile("|".join(map(re.escape, plan.special_tokens)))
    hits = [(row, found) for row in (*train, *test) if (found := pattern.search(row.text))]
    if hits:
        row, found = hits[0]
        yield (
            f"{len(hits):,} rows hold a special token in their text (the first: {found.group()} in {row.where}), which "
            "could end a text in its middle; take it out"
        )


def _information(train: Corrupted, numbers: dict[str, float]) -> Iterator[str]:
    """Information of the given labels about the true ones, from their counts, so for every kind of noise."""
    pairs = Counter(zip(train.originals, (row.label for row in train.rows), strict=True))
    totals = [pairs[label, 0] + pairs[label, 1] for label in (0, 1)]
    flipped = [pairs[0, 1], pairs[1, 0]]
    numbers["flipped_share"] = sum(flipped) / max(sum(totals), 1)
    if not all(totals):
        return
    # 1 - P(flipped | 0) - P(flipped | 1): Youden's J of the labels, 1 - 2 rate for symmetric noise.
    youden_j = 1 - flipped[0] / totals[0] - flipped[1] / totals[1]
    numbers["label_information"] = youden_j
    numbers["label_bits"] = _bits(pairs)
    if abs(youden_j) < LEAST_INFORMATION:
        yield (
            f"the labels carry almost no information (1 - 2 rate = {youden_j:.3f}, {numbers['label_bits']:.3f} bits a "
            "row), so nothing but chance can be learned from them"
        )
    elif youden_j < 0:
        yield (
            f"the labels are wrong more often than right (1 - 2 rate = {youden_j:.2f}): the model is trained on the "
            "opposite"
        )


def _bits(pairs: Counter[tuple[int, int]]) -> float:
    """Mutual information of true and given label, in bits per row."""
    n = sum(pairs.values())
    true, given = ({v: sum(c for p, c in pairs.items() if p[side] == v) for v in (0, 1)} for side in (0, 1))
    return sum(c / n * log2(c * n / (true[a] * given[b])) for (a, b), c in pairs.items() if c)


def _imbalance(test: Sequence[AnyRow], labels: Labels) -> Iterator[str]:
    counts = Counter(row.label for row in test if isinstance(row, LabelledRow))
    if counts and max(counts.values()) > 0.6 * sum(counts.values()):
        label, most = counts.most_common(1)[0]
        yield (
            f"{most:,} of {sum(counts.values()):,} test rows are {labels[label]}: a model that always answers so "
            f"scores {most / sum(counts.values()):.2f}"
        )


def _too_long(rows: Sequence[AnyRow], lengths: Sequence[int], most: int) -> Iterator[str]:
    long = [i for i, tokens in enumerate(lengths) if most and tokens > most]
    if long:
        worst = max(long, key=lengths.__getitem__)
        yield (
            f"{len(long):,} rows are longer than max_length={most:,} tokens (the longest: {lengths[worst]:,}, "
            f"{rows[worst].where}) and would lose their label; shorten their texts or raise it"
        )


def _cost(trained: int, tested: int, n_test: int, plan: Plan, numbers: dict[str, float]) -> Iterator[str]:
    about = "about " if plan.count_tokens is estimated_tokens else ""
    numbers["train_tokens"], numbers["test_tokens"] = trained * plan.epochs, tested * plan.evaluations
    yield (
        f"{about}{trained * plan.epochs:,} training tokens ({trained:,} x {plan.epochs} epochs), "
        f"{tested * plan.evaluations:,} for {plan.evaluations} evaluations"
    )
    if plan.price:
        price = plan.price
        training = price.training(trained * plan.epochs)
        evaluation = price.evaluation(tested * plan.evaluations, n_test * plan.evaluations)
        numbers["cost"] = training + evaluation
        yield (
            f"{about}{training + evaluation:,.2f} {price.currency} ({training:,.2f} training, {evaluation:,.2f} "
            f"evaluations) by the prices of {price.as_of} for {price.model}"
        )


def _smallest_effect(n: int, numbers: dict[str, float]) -> Iterator[str]:
    found = {
        "smallest_paired": power.paired_difference(n),
        "smallest_independent": power.independent_difference(n),
        "smallest_above_chance": power.accuracy_above_chance(n),
    }
    numbers.update({name: value for name, value in found.items() if value is not None})
    paired, apart, chance = (f"{value:.3f}" if value is not None else "none at all" for value in found.values())
    yield (
        f"{n:,} test rows can show (80 % power, 5 % level): between two models on the same rows a difference of "
        f"{paired} (if {power.DISCORDANT:.0%} of answers differ), between separate samples one of {apart} (from "
        f"{power.ACCURACY}), against chance an accuracy of {chance}"
    )
