"""What the parts of a tuning job hand to each other."""

from dataclasses import dataclass
from typing import Any

from train.base import Base
from train.config import TuneConfig
from train.encoding import Example
from train.evaluate import Scores
from train.fit import Fitted
from train.rows import Rows
from train.verdict import Verdict


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
