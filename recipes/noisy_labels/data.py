"""The rows of a noisy-labels job: loaded, corrupted, shortened to the token limit, split, and checked."""

from dataclasses import dataclass

from data import prompts, sampling
from data.chat_template import SPECIAL_TOKENS
from data.conversation import Row
from data.corruption import Corrupted, corrupt, refuse_unfit
from data.datasets import load
from data.errors import DataError
from data.formats import files
from data.labelled import AnyRow, Dataset, Labels, QuestionRow, sha256_of
from data.prompts import PromptTemplate
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.preflight import Plan, Preflight, check, estimated_tokens

#: Share of the training rows held out for choosing a checkpoint, and its bounds in rows.
VALIDATION_SHARE, LEAST_VALIDATION, MOST_VALIDATION = 0.1, 10, 200


@dataclass(frozen=True)
class TokenLimits:
    """How a learner counts tokens, the most it accepts per conversation (0: no limit), and strings no text may hold.

    ``count_texts``: tokens of texts alone. ``validates``: it chooses among checkpoints, so some training
    rows are held out for that.
    """

    count_tokens: prompts.Counter = estimated_tokens
    max_tokens: int = 0
    special_tokens: tuple[str, ...] = SPECIAL_TOKENS
    count_texts: prompts.TextCounter | None = None
    validates: bool = False


@dataclass(frozen=True)
class NoisyData:
    """Training, validation and test rows of one job.

    ``dataset`` holds the sampled rows with their true labels. ``corrupted`` is all training rows with the labels that
    are trained on; ``train`` and ``validation`` are its parts. Texts of all three and of ``test`` are cut to the
    learner's limit; ``cut`` counts the texts that were.
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
        """The labels that the training rows are given, wrong ones included."""
        return [row.label for row in self.train.rows]

    def digests(self) -> dict[str, str]:
        """First 16 hex digits of the SHA-256 of each list of uncut rows: the same for every learner."""
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
    """Load and sample the rows, with their true labels.

    Raises:
        DataError: one line per fault in them, or a column that ``kind`` needs is missing.
    """
    dataset = load(config.dataset, config.seed, config.n_train, config.n_test, config.test_dataset)
    refuse_unfit(dataset.train, config.noise())
    return dataset


def read_shots(config: NoisyConfig) -> list[Row]:
    """The examples that ``template=qa`` puts before every question; none where ``shots`` is empty.

    Raises:
        DataError: one line per fault in the file, or a system message in it, for which the form has no place.
    """
    rows = files.read_rows(config.shots) if config.shots else []
    for row in rows:
        if row.system:
            raise DataError([f"shots: {row.where} has a system message, for which template=qa has no place"])
    return rows


def prepare(config: NoisyConfig, dataset: Dataset, limits: TokenLimits) -> NoisyData:
    """Corrupt labels, cut texts to the limit and split off validation rows; pure.

    Raises:
        DataError: too few rows to hold some out.
    """
    noise = config.noise()
    corrupted = corrupt(dataset.train, noise)
    template = _template(config, dataset)
    test: list[AnyRow] = list(dataset.test)
    cut = 0
    if limits.max_tokens:
        arguments = dataset.labels, template, limits.count_tokens, limits.max_tokens, limits.count_texts
        rows, cut_train = prompts.fitted(corrupted.rows, *arguments)  # type: ignore[type-var]
        test, cut_test = prompts.fitted(test, *arguments)  # type: ignore[type-var]
        corrupted, cut = Corrupted(rows, corrupted.originals, noise), cut_train + cut_test  # type: ignore[type-var]
    train, validation = _split(corrupted, config.seed) if limits.validates else (corrupted, [])
    return NoisyData(dataset, corrupted, train, validation, test, template, cut)


def run_preflight(data: NoisyData, config: NoisyConfig, limits: TokenLimits) -> Preflight:
    """Errors, warnings and expectations about the data, before anything is trained or paid for."""
    plan = Plan(
        data.template,
        limits.count_tokens,
        limits.max_tokens,
        limits.special_tokens,
        epochs=1 if config.learner == "tfidf" else config.epochs,
        evaluations=0 if config.is_remote else 2,  # a remote learner estimates its own cost
    )
    found = check(data.train, data.test, data.labels, plan)
    facts = [*data.dataset.report.lines(), *found.facts]
    if data.cut:
        facts.insert(0, f"{data.cut:,} texts are cut in their middle to {limits.max_tokens} tokens, labels untouched")
    return Preflight(found.errors, found.warnings, facts, found.numbers)


def _template(config: NoisyConfig, dataset: Dataset) -> PromptTemplate:
    if config.template == "auto":
        return prompts.template_for(dataset.train[0])
    return prompts.TEMPLATES[config.template]


def _split(corrupted: Corrupted, seed: int) -> tuple[Corrupted, list[AnyRow]]:
    """(training rows, validation rows); the validation labels are wrong as often, as they would be in practice."""
    n = len(corrupted.rows)
    wanted = min(MOST_VALIDATION, max(LEAST_VALIDATION, round(n * VALIDATION_SHARE)))
    if n < 2 * wanted:
        raise DataError([f"n_train: {n} training rows are too few to set {wanted} aside; give {2 * wanted} or more"])
    rows, validation = sampling.held_out(corrupted.rows, wanted, seed)
    original = dict(zip((row.id for row in corrupted.rows), corrupted.originals, strict=True))
    return Corrupted(rows, tuple(original[row.id] for row in rows), corrupted.noise), validation
