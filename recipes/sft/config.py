"""Settings of supervised fine-tuning on prompts and responses."""

import math
from dataclasses import dataclass

from data.errors import require
from recipes.run_names import short
from train.config import FinetuneConfig


@dataclass(frozen=True)
class ClaimsConfig:
    """What is claimed before training, and what a champion must gain."""

    claims: str = ""
    """YAML file of claims and keeps, fixed before the first step; empty takes the defaults, which are printed."""
    least_gain: float = 0.0
    """The primary metric must be better than the champion's by this much, and by more than chance, to move it."""

    def __post_init__(self) -> None:
        super().__post_init__()  # type: ignore[misc]  (of the config that this one is mixed into)
        gain = self.least_gain
        require(math.isfinite(gain) and gain >= 0, f"least_gain must be a finite number of at least 0, not {gain}")


@dataclass(frozen=True)
class TuneConfig(ClaimsConfig, FinetuneConfig):
    """How a base model is fine-tuned on pairs of prompts and responses."""

    dataset: str = "clean"
    """clean, tiny or noisy; a JSON, JSONL or CSV file; or a data set on the Hugging Face hub."""
    test_dataset: str = ""
    """Held-out rows; empty takes the set's own, or a fifth of the rows, chosen by their content."""
    primary: str = "auto"
    """Metric that must beat base, copied prompts and champion; auto takes chrf, or reward_accuracy of preferences."""
    metrics: str = "auto"
    """Metrics of held-out answers that are kept and shown: auto takes all that fit the rows; or names, as chrf,loss."""
    suites: str = "auto"
    """Retention suites: auto takes the bundled ones for bases of 50 million parameters up; none; names or files."""

    seeds: str = ""
    """Comma-separated seeds: a run for each under one parent, and what they show together; empty trains seed alone."""
    stop_on: str = ""
    """Metrics whose keeps are tested at every evaluation: one that is broken ends training; keeps names all of them."""
    sample_prompts: int = 0
    """Validation prompts that are answered at every evaluation and kept as samples.json, such as 3; 0 answers none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.dataset.strip()), "dataset must not be empty")
        if self.seeds:
            require(len(self.all_seeds()) > 1, f"seeds must name at least two, not {self.seeds}; for one give seed")
            require(self.seed == TuneConfig.seed, "give seed or seeds, not both")
        require(0 <= self.sample_prompts <= 20, f"sample_prompts must be from 0 to 20, not {self.sample_prompts}")
        require(
            not self.stop_on or self.restore == "best", "stop_on chooses among checkpoints, so it needs restore=best"
        )

    @property
    def run_name(self) -> str:
        """What is trained, in a few words: ``clean lora e8 s7``."""
        return " ".join([short(self.dataset), self.method, self._length_and_seed()])

    def _length_and_seed(self) -> str:
        epochs = [f"e{self.epochs}"] if self.epochs else []
        return " ".join([*epochs, f"seeds {self.seeds}" if self.seeds else f"s{self.seed}"])

    def all_seeds(self) -> list[int]:
        """The seeds of ``seeds``, each once.

        Raises:
            ConfigError: one is no whole number from 0 to 2**64 - 1.
        """
        given = [part.strip() for part in self.seeds.split(",") if part.strip()]
        wrong = [each for each in given if not each.isdecimal() or int(each) >= 2**64]
        require(not wrong, f"seeds takes whole numbers with commas between them, not {', '.join(wrong)}")
        return list(dict.fromkeys(map(int, given)))
