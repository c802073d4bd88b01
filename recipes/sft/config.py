"""Settings of supervised fine-tuning on prompts and responses."""

from dataclasses import dataclass

from data.errors import require
from train.config import FinetuneConfig


@dataclass(frozen=True)
class TuneConfig(FinetuneConfig):
    """How a base model is fine-tuned on pairs of prompts and responses."""

    dataset: str = "clean"
    """clean, tiny or noisy; a JSON, JSONL or CSV file; or a data set on the Hugging Face hub."""
    test_dataset: str = ""
    """Held-out rows; empty takes the set's own, or a fifth of the rows, chosen by their content."""
    suites: str = "auto"
    """Retention suites beside the test rows: auto takes all for bases of 50 million parameters up; none; or names."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.dataset.strip()), "dataset must not be empty")
