"""A language model as suites call it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from data.chat_template import text_ids
from data.conversation import Row
from data.labelled import QuestionRow
from data.prompts import QUESTION
from evals.generation import Decoding, answer, answer_both
from evals.label_likelihood import log_probs, score_choices, text_log_probs
from evals.multiple_choice import LogProbs
from evals.suites.suite import Alternatives
from train.encoding import IGNORE, Example, encode
from train.losses import row_losses

Found = TypeVar("Found")
#: Tokens of a text whose loss is computed; what is longer is cut.
LONGEST_TEXT = 512


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer; answers are greedy and end after ``decoding.max_new_tokens``.

    The methods that end in ``_both`` are those of a LoRA model, a PEFT model: they return what its base gives, computed
    without the adapter, and what it gives itself.
    """

    model: Any
    tokenizer: Any
    decoding: Decoding

    def generate(self, rows: Sequence[Row], max_new_tokens: int = 0) -> list[str]:
        """Its answer to the last prompt of each conversation.

        Args:
            max_new_tokens: 0 takes that of ``decoding``.

        Raises:
            ConfigError: the longest answer would leave no room for a prompt.
        """
        return [each.text for each in answer(self.model, self.tokenizer, rows, self._decoding(max_new_tokens))]

    def generate_both(self, rows: Sequence[Row], max_new_tokens: int = 0) -> tuple[list[str], list[str]]:
        """The answers of base and model, in one batch."""
        before, after = answer_both(self.model, self.tokenizer, rows, self._decoding(max_new_tokens))
        return [each.text for each in before], [each.text for each in after]

    def _decoding(self, max_new_tokens: int) -> Decoding:
        return replace(self.decoding, max_new_tokens=max_new_tokens or self.decoding.max_new_tokens)

    def score_choices(self, rows: Sequence[QuestionRow]) -> list[LogProbs | None]:
        """Log-probability in nats of each choice of MC1 and MC2, summed over its tokens."""
        return score_choices(self.model, self.tokenizer, rows, QUESTION)

    def score_answers(self, items: Sequence[Alternatives]) -> list[np.ndarray]:
        """Log-probability in nats of each answer after each prompt, summed over its tokens: ``[prompts, answers]``."""
        prompts = [prompt for item in items for prompt in item.prompts]
        answers = [item.answers for item in items for _ in item.prompts]
        if all(item.is_text for item in items):
            found = iter(text_log_probs(self.model, self.tokenizer, prompts, answers))
        else:
            rows = [Row(((prompt, ""),)) for prompt in prompts]
            found = iter(log_probs(self.model, self.tokenizer, rows, answers))
        return [np.array([next(found) for _ in item.prompts]) for item in items]

    def score_answers_both(self, items: Sequence[Alternatives]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The same of base and model."""
        return self._both(lambda: self.score_answers(items))

    def score_texts(self, items: Sequence[Row | str]) -> list[tuple[float, int]]:
        """Loss in nats summed over tokens, and their number: a conversation's answers, or a text from its second token.

        A text stands alone, without a chat template; before its first token is BOS where the tokenizer adds one.
        """
        examples = [_example(item, self.tokenizer) for item in items]
        return [(float(loss), int(tokens)) for loss, tokens in row_losses(self.model, examples)]

    def score_texts_both(self, items: Sequence[Row | str]) -> tuple[list[tuple[float, int]], list[tuple[float, int]]]:
        """The same of base and model."""
        return self._both(lambda: self.score_texts(items))

    def _both(self, score: Callable[[], Found]) -> tuple[Found, Found]:
        with self.model.disable_adapter():
            before = score()
        return before, score()


def _example(item: Row | str, tokenizer: Any) -> Example:
    if isinstance(item, Row):
        return encode([item], tokenizer, "response", LONGEST_TEXT)[-1]
    ids = np.array(text_ids(tokenizer, item)[:LONGEST_TEXT], dtype=np.int32)
    return Example(ids, np.concatenate([[IGNORE], ids[1:]]).astype(np.int32))
