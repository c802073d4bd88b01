"""Default settings by the size of the base model: the larger it is, the fewer passes and the lower a learning rate it
needs. LoRA's values of the first two classes were chosen on the bundled base and on SmolLM2-135M (docs/log.md); those
of the third are what fine-tuning of models of 1 to 10 billion parameters commonly uses.
"""

import math
from dataclasses import dataclass, replace
from typing import TypeVar

from train.config import FinetuneConfig

C = TypeVar("C", bound=FinetuneConfig)


@dataclass(frozen=True)
class SizeClass:
    """Defaults for base models of fewer than ``below`` parameters: passes, and peak learning rates by method.

    ``preference_epochs``: passes over preferences, of which each has two answers.
    """

    below: float
    epochs: int
    lora_lr: float
    full_lr: float
    preference_epochs: int


SIZE_CLASSES = (
    SizeClass(50e6, 8, 3e-3, 5e-4, 2),
    SizeClass(1e9, 3, 4e-4, 5e-5, 1),
    SizeClass(math.inf, 3, 2e-4, 1e-5, 1),
)


def size_class(parameters: int) -> SizeClass:
    """The class of a base model with so many parameters."""
    return next(each for each in SIZE_CLASSES if parameters < each.below)


def complete(config: C, parameters: int) -> C:
    """``config`` with the defaults for a base of so many parameters where ``lr`` or ``epochs`` is 0."""
    found = size_class(parameters)
    lr = {"lora": found.lora_lr, "full": found.full_lr}[config.method]
    return replace(config, lr=config.lr or lr, epochs=config.epochs or found.epochs)
