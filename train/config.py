"""Every setting of a training run: one frozen dataclass a job, one default each, checked when it is made."""

import math
from dataclasses import dataclass
from typing import Literal

from data.errors import require

#: Signs that MLflow refuses in a registered model's name, or that have another meaning in ``models:/NAME/1``,
#: ``models:/NAME@champion`` or a filter of the registry.
NOT_IN_NAMES = frozenset("/:@?'\"\x7f") | set(map(chr, range(32)))
LONGEST_NAME = 200


def name_problem(name: str) -> str:
    """Why a registered model can't be called ``name``, as the end of a sentence; empty where it can."""
    if NOT_IN_NAMES & set(name):
        return "must be a name without / : @ and quotation marks, question marks and control characters"
    if name != name.strip() or name in (".", "..") or len(name) > LONGEST_NAME:
        return f"must be a name of at most {LONGEST_NAME} characters, without spaces around it, and not . or .."
    return ""


@dataclass(frozen=True)
class FitConfig:
    """How a model is trained, whatever it is and whatever it reads."""

    epochs: int = 0
    """Passes over all training rows; 0 takes the default for the base's size."""
    batch_size: int = 8
    """Rows of one forward and backward pass."""
    accumulation: int = 1
    """Passes whose gradients are summed into one optimizer step."""
    lr: float = 0.0
    """Peak learning rate; 0 takes the default for the method and the base's size."""
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
        for name in ("batch_size", "accumulation", "evals_per_epoch", "row_tokens", "max_length"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("lr", "weight_decay", "clip"):
            value = getattr(self, name)
            require(math.isfinite(value) and value >= 0, f"{name} must be a finite number of at least 0, not {value}")
        require(0 <= self.warmup < 1, f"warmup is a share of all steps, at least 0 and under 1, not {self.warmup}")
        require(0 <= self.beta2 < 1, f"beta2 must be at least 0 and under 1, not {self.beta2}")
        for name in ("epochs", "patience", "threads", "seed"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        require(self.seed < 2**64, f"seed must be below 2**64, not {self.seed}")


@dataclass(frozen=True)
class ModelConfig(FitConfig):
    """Which language model is trained and which of its checkpoints are kept, whatever the data."""

    base_model: str = "auto"
    """auto, smollm2, bundled, a model on the Hugging Face hub, a local folder, or a GGUF file."""
    load: Literal["auto", "bf16", "fp32", "4bit"] = "auto"
    """LoRA: how the frozen base is held; auto is bf16 where it is stored so and multiplied faster; 4bit is NF4."""
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
            require(getattr(self, name) >= 1, f"{name} must be at least 1, not {getattr(self, name)}")
        require(math.isfinite(self.alpha) and self.alpha > 0, f"alpha must be above 0, not {self.alpha}")
        require(0 <= self.dropout < 1, f"dropout must be at least 0 and under 1, not {self.dropout}")
        for name in ("base_model", "targets", "register_as"):
            require(bool(getattr(self, name).strip()), f"{name} must not be empty")
        problem = name_problem(self.register_as)
        require(not problem, f"register_as {problem}")

    def _refuse_lora_settings(self, flag: str) -> None:
        given = [n for n in ("rank", "alpha", "dropout", "targets") if getattr(self, n) != getattr(ModelConfig, n)]
        require(not given, f"{', '.join(given)} only apply to {flag}=lora")
        trained = self.load in ("auto", "fp32")
        require(trained, f"load={self.load} holds frozen weights, so it needs {flag}=lora; or set load=fp32")


@dataclass(frozen=True)
class FinetuneConfig(ModelConfig):
    """How a language model is fine-tuned: which weights move, and which tokens have a loss."""

    method: Literal["lora", "full"] = "lora"
    """lora trains a small adapter, full all weights."""
    labels: Literal["response", "all"] = "response"
    """Which tokens are trained: responses with their end, or all."""
    distributed: Literal["auto", "ddp", "fsdp"] = "auto"
    """Several processes: ddp divides rows, fsdp the weights too (full only); auto is what accelerate launch has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.method == "full" or self.distributed != "fsdp", "distributed=fsdp needs method=full")
        if self.method == "full":
            self._refuse_lora_settings("method")

    @property
    def keeps_all(self) -> bool:
        """Whether the weights of every evaluation are kept: those of an adapter are small, those of a model are not."""
        return self.method == "lora" if self.keep == "auto" else self.keep == "all"


@dataclass(frozen=True)
class PreferenceSettings:
    """The settings of preference losses.

    ``beta``: how strongly the model is held to its reference (IPO: tau; ORPO: weight of the odds ratio).
    ``label_smoothing``: the share of pairs that is taken to be the wrong way round (DPO only). ``sft_weight``: weight
    of the cross-entropy of the chosen answers, which is added.
    """

    beta: float = 0.1
    label_smoothing: float = 0.0
    sft_weight: float = 0.0
