"""Settings of making the bundled base model."""

from dataclasses import dataclass

from data.errors import require
from train.config import FitConfig


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
    """Generated everyday dialogues, questions, and film reviews: so many of all three together."""
    output: str = "data/base"
    """Folder the finished model is written to."""

    @property
    def run_name(self) -> str:
        """What is trained, in a few words: ``base 4x192 s7``."""
        return f"base {self.layers}x{self.width} s{self.seed}"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.epochs >= 1, f"epochs must be at least 1, not {self.epochs}")
        require(self.lr > 0, "lr must be above 0: a model made from scratch has no other default")
        require(self.layers >= 1, f"layers must be at least 1, not {self.layers}")
        require(self.width >= 32 and self.width % 32 == 0, f"width must be a multiple of 32, not {self.width}")
        require(self.vocabulary >= 260, f"vocabulary must be at least 260 (bytes and marks), not {self.vocabulary}")
        for name in ("exercises", "dialogues", "everyday"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("corpora", "output"):
            require(bool(getattr(self, name).strip()), f"{name} must not be empty")
        require(
            self.row_tokens <= self.max_length,
            f"row_tokens={self.row_tokens} is more than max_length={self.max_length}, the positions that the model has",
        )
