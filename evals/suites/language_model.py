"""A language model as suites call it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.conversation import Row
from data.labelled import QuestionRow
from data.prompts import QUESTION
from evals.generation import Decoding, answer
from evals.label_likelihood import score_choices
from evals.multiple_choice import LogProbs


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer; answers are greedy and end after ``decoding.max_new_tokens``."""

    model: Any
    tokenizer: Any
    decoding: Decoding

    def generate(self, rows: Sequence[Row]) -> list[str]:
        """Its answer to the last prompt of each conversation.

        Raises:
            ConfigError: the longest answer would leave no room for a prompt.
        """
        return [each.text for each in answer(self.model, self.tokenizer, rows, self.decoding)]

    def score_choices(self, rows: Sequence[QuestionRow]) -> list[LogProbs | None]:
        """Log-probability in nats of each choice of MC1 and MC2, summed over its tokens."""
        return score_choices(self.model, self.tokenizer, rows, QUESTION)
