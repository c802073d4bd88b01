"""The language model as a learner: the same base, encoding, adapter and training loop as the pirate job."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.chat_template import SPECIAL_TOKENS, pieces, segments, template_name, template_of
from data.conversation import Row
from data.labelled import AnyRow, Labels, QuestionRow, sha256_of
from data.prompts import conversation
from evals.classification import Prediction
from evals.generation import Decoding, Scores, context_length
from evals.label_errors import Fit
from evals.label_likelihood import generate_labels, log_probs, p_second, score_labels
from evals.verdict import Verdict
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.learners.base import LocalLearner, LoggedModel, LogProbs
from recipes.sft import record
from recipes.sft.data import Rows
from recipes.sft.types import Job, Outcome
from registry import lineage, tfidf_versions, versions
from registry.runs import Run
from train import base_model, plots, trainable
from train.encoding import encode
from train.loop import Fitted, fit
from train.resume import StateFolder


class LanguageModelLearner(LocalLearner):
    """A base model with a fresh adapter (``learner=lora``) or all of its weights (``full``)."""

    def __init__(self, config: NoisyConfig):
        self.config, self.tuning = config, config.tuning()
        self.found = base_model.resolve(config.base_model)
        self.kind, self.base, self.base_digest = config.learner, self.found.name, self.found.digest
        self.step = 0
        self.model, self.tokenizer = base_model.load(self.found, base_model.pick_device())
        trainable.check_targets(self.model, self.tuning)
        # A prompt and the longest answer must fit into the model together.
        room = context_length(self.model) - config.max_new_tokens
        self.max_length = min(config.max_length, room)
        self.fitted: Fitted | None = None

    def token_limits(self) -> TokenLimits:
        """Conversations in the model's own tokens, with its own control tokens refused."""
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        return TokenLimits(self._count, self.max_length, tuple(sorted(special | set(SPECIAL_TOKENS))), validates=True)

    def _count(self, row: Row) -> int:
        parts = segments(self.tokenizer, row.turns, row.system)
        return sum(len(piece) for _, piece in pieces(parts, self.tokenizer))

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Encode: response-only labels, proven row by row."""
        self.data = data
        rows = Rows(
            self._conversations(data.train.rows),
            self._conversations(data.validation),
            self._conversations(data.test),
            data.dataset.name,
        )
        examples = encode(rows.train, self.tokenizer, "response", self.max_length)
        self.job = Job(self.tuning, rows, self.found, self.model, self.tokenizer, examples, self.max_length)
        trained, tokens = sum(e.trained for e in examples), sum(len(e.input_ids) for e in examples)
        return [
            f"Learner {self.kind} ({self.found.reason}; {template_name(self.tokenizer)} template), "
            f"{trained:,} of {tokens:,} tokens are trained"
        ]

    def _conversations(self, rows: Sequence[AnyRow]) -> list[Row]:
        return [conversation(row, self.data.labels, self.data.template) for row in rows]

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """What it answers, greedily, and how likely it finds the labels."""
        decoding = Decoding(self.config.max_new_tokens)
        return generate_labels(self.model, self.tokenizer, rows, self.data.labels, self.data.template, decoding)

    def score_labels(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The likelier label; for questions, the likelier one of the wrong and the best answer."""
        return _lean(self.model, self.tokenizer, rows, self.data)

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """Of every choice of MC1 and MC2 the log-probability, summed over its tokens (as the benchmark has it)."""
        questions = [row for row in rows if isinstance(row, QuestionRow)]
        texts = [list(dict.fromkeys(text for text, _ in (*row.mc1, *row.mc2))) for row in questions]
        found = log_probs(self.model, self.tokenizer, self._conversations(questions), texts)
        return [dict(zip(each, probs, strict=True)) for each, probs in zip(texts, found, strict=True)]

    def train(self, run: Run) -> str:
        """Train; going on where an interrupted run stopped."""
        self.model = trainable.make_trainable(self.model, self.tuning)
        checks = encode(self.job.rows.validation, self.tokenizer, "response", self.max_length)
        state = StateFolder(run.folder, keep_all=self.tuning.keeps_all)
        self.fitted = fit(self.model, self.job.examples, checks, self.tuning, state, run, self.tuning.peak_lr)
        self.step = self.fitted.restored_step
        n, tokens = len(self.job.examples), self.fitted.progress.trained_tokens
        return f"{self.base} + {self.kind} on {n:,} rows, {tokens:,} trained tokens"

    def kept_steps(self) -> Sequence[int]:
        """Steps whose weights were kept."""
        return self.fitted.kept_steps if self.fitted else ()

    def load_checkpoint(self, step: int) -> None:
        """Put the weights of a kept step in force."""
        assert self.fitted
        self.fitted.put(step)
        self.step = step

    def fit(self, run: Run) -> Fit:
        """Train others like it, each from the base; those finished before an interruption are not trained again."""

        def train_one(rows: Sequence[AnyRow], labels: Sequence[int]) -> "RefitModel":
            taught = [
                row if row.label == label else row.relabelled(label) for row, label in zip(rows, labels, strict=True)
            ]
            fresh, _ = base_model.load(self.found, base_model.pick_device())
            model = trainable.make_trainable(fresh, self.tuning)
            examples = encode(self._conversations(taught), self.tokenizer, "response", self.max_length)
            checks = encode(self.job.rows.validation, self.tokenizer, "response", self.max_length)
            state = StateFolder(run.folder / "others" / sha256_of(taught)[:16])
            fit(model, examples, checks, self.tuning, state, NullTracker(), self.tuning.peak_lr)
            return RefitModel(model, self.tokenizer, self.data)

        return train_one

    def log(self, run: Run, verdict: Verdict) -> LoggedModel:
        """Keep all checkpoints, log the one in force, and prove it by reloading: logits and greedy texts."""
        assert self.fitted
        self._keep_curve(run)
        nothing = Scores({}, [])
        checkpoint = record.keep_checkpoints(self.job, run, Outcome(self.model, self.fitted, nothing, nothing, verdict))
        settings = {
            "kind": self.kind,
            "base_path": str(self.found.folder),
            "base_digest": self.found.digest,
            "chat_template": template_of(self.tokenizer),
            "max_new_tokens": self.config.max_new_tokens,
        }
        with tfidf_versions.settings_unlogged():
            uri = versions.log_model(run, checkpoint, settings, lineage.pins(), self.job.rows.test[0].prompt)
        versions.verify(uri, record.make_probe(self.job, self.model))
        return LoggedModel(uri, {"system_prompt": self.data.template.system, "user_prompt": self.data.template.user})

    def _keep_curve(self, run: Run) -> None:
        assert self.fitted
        progress, title = self.fitted.progress, f"{self.config.register_as}: {self.base}, {self.kind}"
        train_loss = run.history("train/loss")
        plots.loss_curve(train_loss, progress.history, progress.best_step, title, run.folder / "loss_curve.png")
        plots.loss_table(train_loss, progress.history, run.folder / "loss_curve.csv")
        for name in ("loss_curve.png", "loss_curve.csv"):
            run.file(run.folder / name)


class RefitModel:
    """A model that was trained beside the job's own, for a fold or after pruning."""

    def __init__(self, model: Any, tokenizer: Any, data: NoisyData):
        self.model, self.tokenizer, self.data = model, tokenizer, data

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        """Probability of label 1 for each row."""
        leaning = _lean(self.model, self.tokenizer, rows, self.data)
        return np.array([each.p_positive for each in leaning], dtype=float)


class NullTracker:
    """A tracker that takes metrics and keeps none: those of folds would be drawn over the job's own curve."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Take metrics."""

    def flush(self) -> None:
        """Nothing to deliver."""


def _lean(model: Any, tokenizer: Any, rows: Sequence[AnyRow], data: NoisyData) -> list[Prediction]:
    if not data.dataset.is_questions:
        return score_labels(model, tokenizer, rows, data.labels, data.template)
    asked = [conversation(row, data.labels, data.template) for row in rows]
    pairs = log_probs(model, tokenizer, asked, [_wrong_and_best(row) for row in rows])
    return [Prediction(int(p > 0.5), p) for p in p_second(pairs)]  # type: ignore[arg-type]


def _wrong_and_best(row: AnyRow) -> Labels:
    """The two answers that a question is weighed by; one that nobody made wrong is held against its first wrong one."""
    assert isinstance(row, QuestionRow)
    return row.wrong or row.incorrect[0], row.best
