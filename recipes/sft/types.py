"""What the parts of a tuning job hand to each other."""

from dataclasses import dataclass
from typing import Any

from evals.generation import Scores
from evals.verdict import Verdict
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows
from train.base_model import Base
from train.encoding import Example
from train.loop import Fitted


@dataclass(frozen=True)
class Job:
    """Everything decided before training starts."""

    config: TuneConfig
    rows: Rows
    base: Base
    model: Any
    tokenizer: Any
    examples: list[Example]
    max_length: int


@dataclass(frozen=True)
class Outcome:
    """A trained model, how it was trained, and its base's and its own scores on the same rows."""

    model: Any
    fitted: Fitted
    before: Scores
    after: Scores
    verdict: Verdict
