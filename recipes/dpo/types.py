"""What the steps of training on preferences pass to each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from recipes.sft.types import Job
from train.encoding import TrainingRow


@dataclass(frozen=True)
class PreferenceJob(Job):
    """What is decided before training starts.

    ``preferences``: the tokenised preferences of training, validation and test. ``before``: log-probabilities of the
    two sequences of each test row under the start, ``[rows, 2]`` in nats.
    """

    entry: ClassVar[str] = "dpo"
    loss_unit: ClassVar[str] = "mean over preferences"
    preferences: tuple[Sequence[Any], Sequence[Any], Sequence[Any]] = ((), (), ())
    before: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    @property
    def trained_rows(self) -> Sequence[TrainingRow]:
        """The training preferences."""
        return self.preferences[0]

    @property
    def validation_rows(self) -> Sequence[TrainingRow]:
        """The validation preferences."""
        return self.preferences[1]

    @property
    def is_split(self) -> bool:
        """False: a preference is two examples, and of each its last answer alone is trained."""
        return False
