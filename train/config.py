"""Every setting of a training run: one frozen dataclass a job, one default each, checked when it is made."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from data.corruption import Noise
from data.errors import ConfigError
from train.api_config import MODELS, MOST_EPOCHS, ApiConfig


@dataclass(frozen=True)
class FitConfig:
    """How a model is trained, whatever it is and whatever it reads."""

    epochs: int = 8
    """Passes over all training rows."""
    batch_size: int = 8
    """Rows of one forward and backward pass."""
    accumulation: int = 1
    """Passes whose gradients are summed into one optimizer step."""
    lr: float = 0.0
    """Peak learning rate; 0 takes the method's own default."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after warmup."""
    warmup: float = 0.06
    """Share of all steps over which the learning rate rises from zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay, on matrices only."""
    beta2: float = 0.999
    """AdamW's second decay; lower forgets old gradients sooner."""
    clip: float = 1.0
    """Largest L2 norm of the gradient; 0 turns clipping off."""
    patience: int = 0
    """Stop after so many evaluations in a row without a better eval loss; 0 never stops early."""
    evals_per_epoch: int = 1
    """Evaluations (and resume points) in every epoch; one more comes before the first step."""
    restore: Literal["best", "last"] = "best"
    """Which weights are evaluated and registered; both are kept."""
    row_tokens: int = 512
    """Tokens of one packed row; more fits more examples side by side, at quadratic cost in attention."""
    max_length: int = 256
    """Tokens of one example; longer ones are cut, counted and reported."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the forward and backward pass; auto takes bf16 where the hardware has it."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""
    seed: int = 7
    """Seed of adapters, row order and dropout."""
    resume: str = ""
    """Run id of an interrupted run to go on with."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulation", "evals_per_epoch", "row_tokens", "max_length"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("lr", "weight_decay", "clip"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, f"{name} must be a finite number of at least 0, not {value}")
        _require(0 <= self.warmup < 1, f"warmup is a share of all steps, at least 0 and under 1, not {self.warmup}")
        _require(0 <= self.beta2 < 1, f"beta2 must be at least 0 and under 1, not {self.beta2}")
        for name in ("patience", "threads", "seed"):
            _require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        _require(self.seed < 2**64, f"seed must be below 2**64, not {self.seed}")


@dataclass(frozen=True)
class ModelConfig(FitConfig):
    """Which language model is trained, and what is kept of it, whatever it is taught."""

    base_model: str = "auto"
    """auto, bundled, a model on the Hugging Face hub, or a local folder."""
    rank: int = 16
    """LoRA: rank of the update."""
    alpha: float = 32.0
    """LoRA: the update is scaled by alpha / rank."""
    dropout: float = 0.0
    """LoRA: dropout before the update."""
    targets: str = "all"
    """LoRA: comma-separated names of the layers to adapt; all takes every linear layer but the head."""
    max_new_tokens: int = 64
    """Longest answer, in tokens, when the models are evaluated."""
    keep: Literal["auto", "ends", "all"] = "auto"
    """Which evaluated checkpoints are kept: ends is the best and the last, all is every one; auto is all for lora."""
    register_as: str = "pirate"
    """Name of the registered model that gets a new version."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rank", "max_new_tokens"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(math.isfinite(self.alpha) and self.alpha > 0, f"alpha must be above 0, not {self.alpha}")
        _require(0 <= self.dropout < 1, f"dropout must be at least 0 and under 1, not {self.dropout}")
        for name in ("base_model", "targets", "register_as"):
            _require(bool(getattr(self, name).strip()), f"{name} must not be empty")
        odd = set(self.register_as) & set("/:@'\"")
        _require(not odd, "register_as must be a name without / : @ and quotation marks")

    def _refuse_lora_settings(self, flag: str) -> None:
        given = [n for n in ("rank", "alpha", "dropout", "targets") if getattr(self, n) != getattr(ModelConfig, n)]
        _require(not given, f"{', '.join(given)} only apply to {flag}=lora")


@dataclass(frozen=True)
class TuneConfig(ModelConfig):
    """How a base model is taught a behaviour from pairs of prompts and responses."""

    dataset: str = "clean"
    """clean, tiny or noisy; a JSON, JSONL or CSV file; or a data set on the Hugging Face hub."""
    test_dataset: str = ""
    """Held-out rows; empty takes the set's own, or a fifth of the rows, chosen by their content."""
    method: Literal["lora", "full"] = "lora"
    """lora trains a small adapter, full all weights."""
    labels: Literal["response", "all"] = "response"
    """Which tokens are trained: responses with their end, or all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(bool(self.dataset.strip()), "dataset must not be empty")
        if self.method == "full":
            self._refuse_lora_settings("method")

    @property
    def peak_lr(self) -> float:
        """The learning rate in force: ``lr``, or the method's default where it is 0."""
        return self.lr or {"lora": 3e-3, "full": 5e-4}[self.method]

    @property
    def keeps_all(self) -> bool:
        """Whether the weights of every evaluation are kept: those of an adapter are small, those of a model are not."""
        return self.method == "lora" if self.keep == "auto" else self.keep == "all"


@dataclass(frozen=True)
class NoisyConfig(ApiConfig, ModelConfig):
    """What is taught with labels that were made wrong on purpose, and how it is judged."""

    dataset: str = "reviews"
    """reviews, imdb or truthfulqa; a file with text and label, or question, best and incorrect; IMDB's folder."""
    test_dataset: str = ""
    """File with test rows; empty takes the set's own, or holds out n_test rows (or a fifth)."""
    n_train: int = 1000
    """Training rows, drawn with every stratum's share; 0 takes all."""
    n_test: int = 400
    """Test rows, drawn with as many of each label; 0 takes all."""
    kind: str = "symmetric"
    """symmetric, one_sided, mildest_first, longest_first or trigger; best_swapped for questions."""
    rate: float = 0.5
    """Share of labels to make wrong, from 0 (a clean control) to 1; see data/corruption.py for each kind."""
    noise_seed: int = 42
    """Seed of which labels are made wrong; the seed of training and sampling is seed."""
    word: str = ""
    """Trigger: rows with this word are flipped."""
    side: int = 1
    """One_sided: the label that is flipped, 0 or 1."""
    provider: Literal["local", "openai", "parley"] = "local"
    """Where it is trained: here; at OPENAI_BASE_URL (empty: OpenAI); or by a server that is started for the run."""
    learner: Literal["lora", "full", "tfidf"] = "lora"
    """lora trains an adapter, full all weights of base_model; tfidf is TF-IDF and logistic regression."""
    template: Literal["auto", "review", "question", "bare"] = "auto"
    """Prompt of training and evaluation alike; auto is review for texts and question for questions."""
    folds: int = 0
    """Trainings for out-of-fold detection and pruning; 1 is none, 0 is 5 for tfidf and none for the others."""
    min_df: int = 5
    """Tfidf: words in fewer training texts than this are not used."""
    c: float = 1.0
    """Tfidf: inverse strength of the penalty on weights; the higher, the more is memorised."""
    epochs: int = 3
    batch_size: int = 16
    restore: Literal["best", "last"] = "last"
    """Which weights are evaluated and registered; best is chosen by validation rows whose labels are as wrong."""
    max_new_tokens: int = 8
    register_as: str = "noisy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.noise()
        for name in ("n_train", "n_test", "noise_seed", "folds"):
            _require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        _require(self.min_df >= 1, f"min_df must be at least 1, not {self.min_df}")
        _require(math.isfinite(self.c) and self.c > 0, f"c must be a number above 0, not {self.c}")
        _require(bool(self.dataset.strip()), "dataset must not be empty")
        if self.is_remote:
            self._refuse_what_an_api_has_not()
        else:
            given = [f.name for f in fields(ApiConfig) if getattr(self, f.name) != f.default and f.name != "dry_run"]
            _require(not given, f"{', '.join(given)}: only for provider=openai or parley")
        if self.learner != "lora":
            self._refuse_lora_settings("learner")

    def noise(self) -> Noise:
        """The corruption that is asked for."""
        return Noise(self.kind, self.rate, self.noise_seed, self.word, self.side)

    def _refuse_what_an_api_has_not(self) -> None:
        local = [
            f.name for f in fields(FitConfig) if f.name not in ("epochs", "max_length", "seed", "threads", "resume")
        ]
        local += ["base_model", "rank", "alpha", "dropout", "targets", "keep", "learner", "min_df", "c"]
        given = [name for name in local if getattr(self, name) != getattr(NoisyConfig, name)]
        verb = "apply" if len(given) > 1 else "applies"
        _require(
            not given,
            f"{', '.join(given)} only {verb} to provider=local; an API takes model, epochs and hyperparameters "
            "(batch_size and learning_rate_multiplier among them)",
        )
        _require(self.epochs <= MOST_EPOCHS, f"epochs must be at most {MOST_EPOCHS} with an API, not {self.epochs}")
        _require(
            self.folds <= 1, f"folds={self.folds} would pay for {self.folds} more jobs; only provider=local does it"
        )

    @property
    def is_remote(self) -> bool:
        """Whether the model is trained and asked through an API."""
        return self.provider != "local"

    @property
    def taught_model(self) -> str:
        """The API's name of the model to fine-tune."""
        return self.model or MODELS.get(self.provider, "")

    @property
    def folds_in_force(self) -> int:
        """How many trainings out-of-fold detection takes; below 2 there is none."""
        return self.folds or (5 if self.learner == "tfidf" else 1)

    def tuning(self) -> TuneConfig:
        """The same settings as those of a job that trains a language model."""
        shared = {field.name: getattr(self, field.name) for field in fields(ModelConfig)}
        return TuneConfig(**shared, dataset=self.dataset, method="full" if self.learner == "full" else "lora")


@dataclass(frozen=True)
class AutopsyConfig:
    """Replay three mistakes that once gave perfect scores, on real rows, each with the guard that catches it."""

    dataset: str = "reviews"
    """reviews or imdb, a file with text and label, or IMDB's folder."""
    test_dataset: str = ""
    """File with test rows; empty takes the set's own, or holds out a fifth."""
    n_train: int = 0
    """Training rows of the one model that is fitted; 0 takes all."""
    n_test: int = 200
    """Rows of each evaluation: the first so many of a sorted file, or as many drawn evenly."""
    seed: int = 7
    """Seed of the drawn rows."""

    def __post_init__(self) -> None:
        _require(bool(self.dataset.strip()), "dataset must not be empty")
        for name, least in (("n_train", 0), ("n_test", 2), ("seed", 0)):
            _require(getattr(self, name) >= least, f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True)
class BaseConfig(FitConfig):
    """How the bundled base model is made. Flags beyond those of any training:"""

    corpora: str = "hub"
    """Folder with the dialogue and story files, or hub to fetch them from the Hugging Face hub."""
    epochs: int = 1
    batch_size: int = 12
    lr: float = 2e-3
    warmup: float = 0.02
    weight_decay: float = 0.1
    beta2: float = 0.95
    evals_per_epoch: int = 20
    row_tokens: int = 256
    max_length: int = 256
    layers: int = 4
    """Transformer blocks."""
    width: int = 192
    """Size of the hidden state; each attention head takes 32 of it."""
    vocabulary: int = 4096
    """Tokens, the four special ones included."""
    exercises: int = 80000
    """Conversations of copying exercises, one to four exercises each."""
    dialogues: int = 6000
    """Service dialogues taken from the corpus."""
    everyday: int = 24000
    """Generated conversations of small talk, of questions, and of film reviews: so many of all three together."""
    output: str = "data/base"
    """Folder the finished model is written to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.lr > 0, "lr must be above 0: a model made from scratch has no other default")
        _require(self.layers >= 1, f"layers must be at least 1, not {self.layers}")
        _require(self.width >= 32 and self.width % 32 == 0, f"width must be a multiple of 32, not {self.width}")
        _require(self.vocabulary >= 260, f"vocabulary must be at least 260 (bytes and marks), not {self.vocabulary}")
        for name in ("exercises", "dialogues", "everyday"):
            _require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("corpora", "output"):
            _require(bool(getattr(self, name).strip()), f"{name} must not be empty")
        _require(
            self.row_tokens <= self.max_length,
            f"row_tokens={self.row_tokens} is more than max_length={self.max_length}, the positions that the model has",
        )


def _require(true: bool, message: str) -> None:
    if not true:
        raise ConfigError(message)
