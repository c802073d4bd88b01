"""Settings of the recipe that repeats three evaluation mistakes."""

from dataclasses import dataclass

from data.errors import require
from recipes.run_names import short


@dataclass(frozen=True)
class AutopsyConfig:
    """Repeat three mistakes that once gave perfect scores, on real rows, each with the guard that reports it."""

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

    @property
    def run_name(self) -> str:
        """What is reproduced, on which rows: ``autopsy reviews``."""
        return f"autopsy {short(self.dataset)}"

    def __post_init__(self) -> None:
        require(bool(self.dataset.strip()), "dataset must not be empty")
        for name, least in (("n_train", 0), ("n_test", 2), ("seed", 0)):
            require(getattr(self, name) >= least, f"{name} must be at least {least}, not {getattr(self, name)}")
