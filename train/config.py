"""Every setting of a training run: one frozen dataclass a job, one default each, checked when it is made."""

import math
from dataclasses import dataclass
from typing import Literal

from data.errors import ConfigError


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
class TuneConfig(FitConfig):
    """How a base model is taught a behaviour from pairs of prompts and responses."""

    dataset: str = "clean"
    """clean, tiny or noisy; a JSON, JSONL or CSV file; or a data set on the Hugging Face hub."""
    test_dataset: str = ""
    """Held-out rows; empty takes the set's own, or a fifth of the rows, chosen by their content."""
    base_model: str = "auto"
    """auto, bundled, a model on the Hugging Face hub, or a local folder."""
    method: Literal["lora", "full"] = "lora"
    """lora trains a small adapter, full all weights."""
    labels: Literal["response", "all"] = "response"
    """Which tokens are trained: responses with their end, or all."""
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
    register_as: str = "pirate"
    """Name of the registered model that gets a new version."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rank", "max_new_tokens"):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        _require(math.isfinite(self.alpha) and self.alpha > 0, f"alpha must be above 0, not {self.alpha}")
        _require(0 <= self.dropout < 1, f"dropout must be at least 0 and under 1, not {self.dropout}")
        for name in ("dataset", "base_model", "targets", "register_as"):
            _require(bool(getattr(self, name).strip()), f"{name} must not be empty")
        odd = set(self.register_as) & set("/:@'\"")
        _require(not odd, "register_as must be a name without / : @ and quotation marks")
        if self.method == "full":
            given = [n for n in ("rank", "alpha", "dropout", "targets") if getattr(self, n) != getattr(TuneConfig, n)]
            _require(not given, f"{', '.join(given)} only apply to method=lora")

    @property
    def peak_lr(self) -> float:
        """The learning rate in force: ``lr``, or the method's default where it is 0."""
        return self.lr or {"lora": 3e-3, "full": 5e-4}[self.method]


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
