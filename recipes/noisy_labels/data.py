"""The rows of a noisy-labels job: loaded, corrupted, cut to length, divided, and checked before anything is spent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data import prompts, sampling
from data.chat_template import SPECIAL_TOKENS
from data.conversation import Row
from data.corruption import Corrupted, corrupt, refuse_unfit
from data.datasets import load
from data.errors import DataError
from data.labelled import AnyRow, Dataset, Labels, QuestionRow, sha256_of
from data.prompts import PromptTemplate
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.preflight import Plan, Preflight, check, estimated_tokens

#: Share of the training rows that only chooses the checkpoint of a language model, and its bounds in rows.
VALIDATION_SHARE, LEAST_VALIDATION, MOST_VALIDATION = 0.1, 10, 200


@dataclass(frozen=True)
class TokenLimits:
    """How a learner reads: what it counts as tokens, the most it takes (0: no limit), and what no text may hold.

    ``validates``: it chooses among checkpoints, so some training rows are set aside for that.
    """

    count_tokens: prompts.Counter = estimated_tokens
    max_tokens: int = 0
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS
    validates: bool = False


@dataclass(frozen=True)
class NoisyData:
    """What is taught and tested.

    ``dataset`` holds the rows as they were drawn, with their true labels. ``corrupted`` is all training rows with the
    labels that they are given; ``train`` (taught) and ``validation`` (chooses the checkpoint) are its parts. Where the
    learner has a limit, texts of these and of ``test`` are cut to it; ``cut`` counts how many.
    """

    dataset: Dataset
    corrupted: Corrupted
    train: Corrupted
    validation: list[AnyRow]
    test: list[AnyRow]
    template: PromptTemplate
    cut: int

    @property
    def labels(self) -> Labels:
        """The names of the labels 0 and 1."""
        return self.dataset.labels

    @property
    def truth(self) -> list[int]:
        """The true labels of the test rows."""
        return [row.label for row in self.test]

    @property
    def given(self) -> list[int]:
        """The labels that the taught rows are given."""
        return [row.label for row in self.train.rows]

    def digests(self) -> dict[str, str]:
        """First 16 hex digits of the SHA-256 of each list, of whole texts: the same for every learner."""
        true, test = self.dataset.digests().values()
        found = {"dataset_digest": self._given_digest(), "clean_digest": true, "test_digest": test}
        return {name: digest[:16] for name, digest in {**found, "mask_digest": self.corrupted.sha256}.items()}

    def _given_digest(self) -> str:
        by_id = {row.id: row.label for row in self.corrupted.rows}
        wrong = {row.id: row.wrong for row in self.corrupted.rows if isinstance(row, QuestionRow)}
        whole = [
            row.relabelled(by_id[row.id], wrong[row.id])
            if isinstance(row, QuestionRow)
            else row.relabelled(by_id[row.id])
            for row in self.dataset.train
        ]
        return sha256_of(whole)


def read(config: NoisyConfig) -> Dataset:
    """The rows, drawn and with their true labels.

    Raises:
        DataError: everything that is wrong with them, one line each, or what ``kind`` goes by is not there.
    """
    dataset = load(config.dataset, config.seed, config.n_train, config.n_test, config.test_dataset)
    refuse_unfit(dataset.train, config.noise())
    return dataset


def prepare(config: NoisyConfig, dataset: Dataset, reading: TokenLimits) -> NoisyData:
    """Corrupt, cut and divide; pure.

    Raises:
        DataError: too few rows to set some aside.
    """
    noise = config.noise()
    corrupted = corrupt(dataset.train, noise)
    template = _template(config, dataset)
    cut = 0
    test: list[AnyRow] = list(dataset.test)
    if reading.max_tokens:
        fit = _cutter(dataset.labels, template, reading)
        rows, cut = fit(corrupted.rows)
        test, cut_tests = fit(test)
        corrupted, cut = Corrupted(rows, corrupted.originals, noise), cut + cut_tests  # type: ignore[type-var]
    train, validation = _divide(corrupted, config.seed) if reading.validates else (corrupted, [])
    return NoisyData(dataset, corrupted, train, validation, test, template, cut)


def preflight(material: NoisyData, config: NoisyConfig, reading: TokenLimits) -> Preflight:
    """What is wrong, doubtful and to be expected, before anything is spent."""
    epochs = 1 if config.learner == "tfidf" else config.epochs
    plan = Plan(
        material.template,
        reading.count_tokens,
        reading.max_tokens,
        reading.special_tokens,
        epochs,
        evaluations=0 if config.is_remote else 2,  # an API's learner weighs what it costs by itself
    )
    found = check(material.train, material.test, material.labels, plan)
    facts = [*material.dataset.report.lines(), *found.facts]
    if material.cut:
        most = reading.max_tokens
        facts.insert(0, f"{material.cut:,} texts are cut in their middle to {most} tokens, labels untouched")
    return Preflight(found.errors, found.warnings, facts, found.numbers)


def _template(config: NoisyConfig, dataset: Dataset) -> PromptTemplate:
    if config.template == "auto":
        return prompts.template_for(dataset.train[0])
    return prompts.TEMPLATES[config.template]


def _cutter(
    labels: Labels, template: PromptTemplate, reading: TokenLimits
) -> Callable[[Sequence[AnyRow]], tuple[list[AnyRow], int]]:
    def count(row: Row) -> int:
        # The label with the most letters need not be the one with the most tokens.
        return max(reading.count_tokens(Row(((row.prompt, label),), row.system)) for label in labels)

    def fit(rows: Sequence[AnyRow]) -> tuple[list[AnyRow], int]:
        return prompts.fitted(rows, labels, template, count, reading.max_tokens)  # type: ignore[type-var]

    return fit


def _divide(corrupted: Corrupted, seed: int) -> tuple[Corrupted, list[AnyRow]]:
    """(the rows to teach, the rows that choose the checkpoint): these have wrong labels too, as they would in life."""
    n = len(corrupted.rows)
    wanted = min(MOST_VALIDATION, max(LEAST_VALIDATION, round(n * VALIDATION_SHARE)))
    if n < 2 * wanted:
        raise DataError([f"n_train: {n} training rows are too few to set {wanted} aside; give {2 * wanted} or more"])
    rows, validation = sampling.held_out(corrupted.rows, wanted, seed)
    original = dict(zip((row.id for row in corrupted.rows), corrupted.originals, strict=True))
    return Corrupted(rows, tuple(original[row.id] for row in rows), corrupted.noise), validation
