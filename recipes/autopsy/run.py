"""Three evaluation mistakes that once gave perfect scores, repeated on real rows with the right figure and its guard.

A model that always answers one word, an API whose every request fails, and "the first N rows" of a file that is sorted
by label: scored as they once were, all three get 1.000.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from data.corruption import Corrupted, Noise, corrupt
from data.datasets import load
from data.errors import DataError
from data.labelled import AnyRow, Dataset, label_counts
from data.prompts import REVIEW
from data.sampling import sample
from evals.classification import Prediction, evaluate, from_probabilities
from evals.metric import format_value
from evals.sanity_checks import naive_score, warnings
from recipes.autopsy.config import AutopsyConfig
from recipes.noisy_labels import tfidf
from recipes.noisy_labels.preflight import Plan, check
from registry.runs import Run

#: Noise after which a model ranks the texts well and hardly ever answers the second label.
ONE_SIDED = Noise("one_sided", 0.8)
REFUSED = "Connection refused"
Answer = Callable[[Sequence[AnyRow]], list[Prediction]]


@dataclass(frozen=True)
class Case:
    """One mistake: what was ``done``, the ``false_score``, the ``right`` metrics, and the ``guard`` that reports it."""

    mistake: str
    done: str
    false_score: float
    right: str
    guard: str


def autopsy(config: AutopsyConfig, run: Run) -> Iterator[str]:
    """Repeat the mistakes, store the cases, and yield the page.

    Raises:
        DataError: the rows can't be read, or are not texts with two labels.
    """
    dataset = load(config.dataset, config.seed, config.n_train, 0, config.test_dataset)
    if dataset.is_questions:
        raise DataError([f"{config.dataset}: these are questions; an autopsy needs texts with a class"])
    run.params(asdict(config))
    run.tags({name: digest[:16] for name, digest in dataset.digests().items()})
    cases = replay(dataset, config.n_test, config.seed)
    for number, case in enumerate(cases):
        run.log(number, {"autopsy/false_score": case.false_score})
    run.flush()
    run.table([{key: str(value) for key, value in asdict(case).items()} for case in cases], "autopsy.json")
    page = markdown(dataset, cases)
    run.text(page, "autopsy.md")
    run.describe(page, "autopsy.md")
    yield page


def replay(dataset: Dataset, n_test: int, seed: int) -> list[Case]:
    """The three cases on the rows of ``dataset``.

    Raises:
        DataError: the test has fewer than ``n_test`` rows of its first class.
    """
    top = first_rows(dataset.test, n_test)
    fair = sample(dataset.test, n_test, seed, balanced=True, flag="n_test")
    no, yes = dataset.labels
    noisy = corrupt(dataset.train, ONE_SIDED)
    classifier = tfidf.fit(noisy.rows, [row.label for row in noisy.rows])
    constant = _case(
        "a constant answer",
        f'a model that always answers "{no}" is evaluated on the first {n_test:,} rows of a test sorted by label',
        lambda rows: [Prediction(0, raw=no) for _ in rows],
        (dataset, top, fair, fair),
    )
    failing = _case(
        "an API that always fails",
        f'every request for these rows fails, and whatever is not "{yes}" counts as "{no}"',
        lambda rows: [Prediction("error", error=REFUSED) for _ in rows],
        (dataset, top, fair, fair),
    )
    slice_ = _case(
        "the first N rows",
        f'a model trained with {ONE_SIDED.rate:.0%} of the "{yes}" labels changed to "{no}" is evaluated on these rows',
        lambda rows: from_probabilities(classifier.p_positive(rows), dataset.labels),
        (dataset, top, fair, top),
    )
    return [
        constant,
        failing,
        replace(slice_, guard=f"{slice_.guard}; preflight, before that: {preflight_errors(dataset, top)}"),
    ]


def first_rows(test: Sequence[AnyRow], n: int) -> list[AnyRow]:
    """The first ``n`` rows of the test as a file sorted by label has them, as IMDB's has.

    Raises:
        DataError: rows of the second class would be among them.
    """
    first = label_counts(test)[0]
    if first < n:
        raise DataError([f"n_test={n:,}: the test has {first:,} rows of the first class; ask for fewer"])
    return sorted(test, key=lambda row: (row.label, row.position))[:n]


def preflight_errors(dataset: Dataset, test: Sequence[AnyRow]) -> str:
    """The preflight's errors about these test rows."""
    train = Corrupted(dataset.train, tuple(row.label for row in dataset.train), Noise(rate=0))
    return "; ".join(check(train, test, dataset.labels, Plan(REVIEW)).errors) or "nothing"


def _case(
    mistake: str, done: str, answer: Answer, rows: tuple[Dataset, list[AnyRow], list[AnyRow], list[AnyRow]]
) -> Case:
    """The naive score on the ``top`` rows, the right one on the ``fair`` rows, and the warnings about the ``shown``."""
    dataset, top, fair, shown = rows
    false = naive_score([row.label for row in top], answer(top))
    report = evaluate([row.label for row in fair], answer(fair), dataset.labels)
    found = warnings([row.label for row in shown], answer(shown), shown, dataset.labels)
    low, high = report.accuracy_interval or (0.0, 0.0)
    right = f"accuracy {report.accuracy:.3f} ({low:.3f} to {high:.3f}), AUC {format_value(report.auc)}"
    if report.rates["error"]:
        right += (
            f", errors {report.rates['error']:.0%}, accuracy of the answered {format_value(report.answered_accuracy)}"
        )
    return Case(
        mistake, done, false, f"{right}, on {len(fair):,} rows drawn evenly", f"warning: {'; '.join(found) or 'none'}"
    )


def markdown(dataset: Dataset, cases: Sequence[Case]) -> str:
    """The cases as a Markdown page, which is also printed."""
    lines = ["# Autopsy", "", f"Three ways to a perfect score, repeated on {dataset.name}.", ""]
    for number, case in enumerate(cases, 1):
        lines += [
            f"## {number}. {case.mistake}",
            "",
            f"- what was done: {case.done}",
            f"- false score: {case.false_score:.3f}",
            f"- right metrics: {case.right}",
            f"- caught by: {case.guard}",
            "",
        ]
    return "\n".join(lines)
