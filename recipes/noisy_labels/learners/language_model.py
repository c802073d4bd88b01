"""The language model as a learner: the same base, encoding, adapter and training loop as the pirate job."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.chat_format import fix_date, template_name
from data.chat_template import SPECIAL_TOKENS, pieces, segments
from data.conversation import Row
from data.labelled import AnyRow, Labels, QuestionRow, sha256_of
from data.prompts import QA, conversation, qa_chat_template
from evals.classification import Prediction
from evals.generation import Decoding, probe
from evals.label_errors import Fit
from evals.label_likelihood import (
    generate_labels,
    generate_labels_both,
    log_probs,
    p_second,
    score_choices,
    score_labels,
)
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits, read_shots
from recipes.noisy_labels.learners.base import LocalLearner, LogProbs, Registrable
from recipes.sft.record import PROBED_ROWS, keep_checkpoints
from registry import lineage
from registry.registration import LanguageModelFiles
from registry.runs import Run
from train import defaults
from train.encoding import Example, encode
from train.finetune import Finetuned, finetune, load_base, reload
from train.loop import NullTracker
from train.loss_curve import write_loss_curve
from train.resume import StateFolder
from train.trainable import pristine


class LanguageModelLearner(LocalLearner):
    """A base model with a fresh adapter (``learner=lora``) or all of its weights (``full``)."""

    def __init__(self, config: NoisyConfig) -> None:
        self.config, tuning = config, config.tuning()
        shots = read_shots(config)
        self.loaded = load_base(tuning, config.max_new_tokens)
        if config.template == QA.name:
            self.loaded.tokenizer.chat_template = qa_chat_template(shots)
        self.tuning = defaults.complete(tuning, self.loaded.parameters)
        source = self.loaded.source
        self.kind, self.base, self.base_digest = config.learner, source.name, source.digest
        self.base_source = source.source
        self.step, self.holds_base = 0, config.learner == "lora"
        self.model, self.tokenizer = self.loaded.model, self.loaded.tokenizer
        self.tuned: Finetuned | None = None

    def token_limits(self) -> TokenLimits:
        """Conversations in the model's own tokens, with its own control tokens refused."""
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        names = tuple(sorted(special | set(SPECIAL_TOKENS)))
        return TokenLimits(self._count, self.loaded.max_length, names, self._count_texts, validates=True)

    def _count_texts(self, texts: Sequence[str]) -> list[int]:
        found = self.tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)
        return list(map(len, found["input_ids"]))

    def _count(self, row: Row) -> int:
        parts = segments(self.tokenizer, row.turns, row.system)
        return sum(len(piece) for _, piece in pieces(parts, self.tokenizer))

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Tokenize: response-only labels, checked row by row."""
        self.data = data
        run.params({"learning_rate": self.tuning.lr})  # MLflow has logged lr as 0
        fix_date(self.tokenizer, lineage.start_day(run))
        self.examples, self.checks = self._encode(data.train.rows), self._encode(data.validation)
        trained, tokens = sum(e.trained for e in self.examples), sum(len(e.input_ids) for e in self.examples)
        return [
            f"Learner {self.kind} ({self.loaded.source.reason}; {template_name(self.tokenizer)} template), "
            f"{trained:,} of {tokens:,} tokens are trained"
        ]

    def _conversations(self, rows: Sequence[AnyRow]) -> list[Row]:
        return [conversation(row, self.data.labels, self.data.template) for row in rows]

    def _encode(self, rows: Sequence[AnyRow]) -> list[Example]:
        return encode(self._conversations(rows), self.tokenizer, "response", self.loaded.max_length)

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """What it answers, greedily, and how likely it finds the labels."""
        decoding = Decoding(self.config.max_new_tokens)
        return generate_labels(self.model, self.tokenizer, rows, self.data.labels, self.data.template, decoding)

    def predict_both(self, rows: Sequence[AnyRow]) -> tuple[list[Prediction], list[Prediction]]:
        """The same of the base and of the tuned model, in one batch; for LoRA, after ``train``."""
        decoding = Decoding(self.config.max_new_tokens)
        return generate_labels_both(self.model, self.tokenizer, rows, self.data.labels, self.data.template, decoding)

    def score_labels(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The likelier label; for questions, the likelier one of the wrong and the best answer."""
        return _score_labels(self.model, self.tokenizer, rows, self.data)

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """Of every choice of MC1 and MC2 the log-probability, summed over its tokens (as the benchmark has it)."""
        questions = [row for row in rows if isinstance(row, QuestionRow)]
        return score_choices(self.model, self.tokenizer, questions, self.data.template)

    def score_choices_both(self, rows: Sequence[AnyRow]) -> tuple[list[LogProbs | None], list[LogProbs | None]]:
        """The same of the base and of the tuned model; for LoRA, after ``train``."""
        with pristine(self.model):
            before = self.score_choices(rows)
        return before, self.score_choices(rows)

    def train(self, run: Run) -> str:
        """Fine-tune, or go on where an interrupted run stopped."""
        state = StateFolder(run.folder, keep_all=self.tuning.keeps_all)
        self.tuned = finetune(self.examples, self.checks, self.loaded, self.tuning, run, state)
        self.model, self.step = self.tuned.model, self.tuned.fitted.restored_step
        n, tokens = len(self.examples), self.tuned.fitted.progress.trained_tokens
        return f"{self.base} + {self.kind} on {n:,} rows, {tokens:,} trained tokens"

    def kept_steps(self) -> Sequence[int]:
        """Steps whose weights were kept."""
        return self.tuned.fitted.kept_steps if self.tuned else ()

    def load_checkpoint(self, step: int) -> None:
        """Load the weights of a kept step."""
        assert self.tuned
        self.tuned.fitted.load_checkpoint(step)
        self.step = step

    def fit(self, run: Run) -> Fit:
        """Fine-tune others like it, each from the base; those finished before an interruption are not trained again."""

        def fit_one(rows: Sequence[AnyRow], labels: Sequence[int]) -> "RefitModel":
            relabelled = [
                row if row.label == label else row.relabelled(label) for row, label in zip(rows, labels, strict=True)
            ]
            state = StateFolder(run.folder / "others" / sha256_of(relabelled)[:16])
            examples, base = self._encode(relabelled), reload(self.loaded)
            tuned = finetune(examples, self.checks, base, self.tuning, NullTracker(), state)
            return RefitModel(tuned.model, self.tokenizer, self.data)

        return fit_one

    def save(self, run: Run) -> Registrable:
        """Keep all checkpoints and the loss curve; the reloaded one in force is compared by logits and greedy texts."""
        assert self.tuned
        title = f"{self.config.register_as}: {self.base}, {self.kind}"
        progress = self.tuned.fitted.progress
        for path in write_loss_curve(run.history("train/loss"), progress, title, run.folder):
            run.file(path)
        folders = keep_checkpoints(self.tuned, run)
        compared = self._conversations(self.data.test[:PROBED_ROWS])
        probed = probe(self.model, self.tokenizer, compared, self.config.max_new_tokens)
        files = LanguageModelFiles(folders[self.step], self.tuned.model_config, probed)
        return Registrable(files, {"system_prompt": self.data.template.system, "user_prompt": self.data.template.user})


class RefitModel:
    """A model that was trained beside the run's own, for a fold or after pruning."""

    def __init__(self, model: Any, tokenizer: Any, data: NoisyData) -> None:
        self.model, self.tokenizer, self.data = model, tokenizer, data

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        """Probability of label 1 for each row."""
        scored = _score_labels(self.model, self.tokenizer, rows, self.data)
        return np.array([each.p_positive for each in scored], dtype=float)


def _score_labels(model: Any, tokenizer: Any, rows: Sequence[AnyRow], data: NoisyData) -> list[Prediction]:
    if not data.dataset.is_questions:
        return score_labels(model, tokenizer, rows, data.labels, data.template)
    prompts = [conversation(row, data.labels, data.template) for row in rows]
    pairs = log_probs(model, tokenizer, prompts, [_wrong_and_best(row) for row in rows])
    return [Prediction(int(p > 0.5), p) for p in p_second(pairs)]  # type: ignore[arg-type]


def _wrong_and_best(row: AnyRow) -> Labels:
    """The wrong and the best answer whose likelihoods are compared; without a swapped one, the first wrong answer."""
    assert isinstance(row, QuestionRow)
    return row.wrong or row.incorrect[0], row.best
