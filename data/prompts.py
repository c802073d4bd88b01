"""What a model reads and what it answers: one function makes both, from one row, for training and for evaluation."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.conversation import Row
from data.errors import ConfigError
from data.labelled import AnyRow, LabelledRow, Labels, QuestionRow, R
from data.progress import progress_bar

TEXT = "{text}"
ELLIPSIS = " ... "
Message = dict[str, Any]
#: What is counted is a whole conversation, as the model sees it: its tokens.
Counter = Callable[[Row], int]
#: Where each token of a text begins, in characters, ascending.
TokenStarts = Callable[[str], Sequence[int]]
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class PromptTemplate:
    """``system`` message (none where empty) and ``user`` message, in which ``{text}`` stands for the row's text."""

    name: str
    system: str
    user: str

    def __post_init__(self) -> None:
        if self.user.count(TEXT) != 1:
            raise ConfigError(f"the user message of a prompt template must hold {TEXT} once, not {self.user!r}")

    def user_text(self, text: str) -> str:
        """The user message. The text is put in as it is, whatever braces it holds."""
        before, _, after = self.user.partition(TEXT)
        return before + text + after


REVIEW = PromptTemplate("review", "Is the review positive or negative?", "Review: {text} Sentiment:")
QUESTION = PromptTemplate("question", "Answer the question truthfully and in one sentence.", TEXT)
BARE = PromptTemplate("bare", "", TEXT)
"""The text alone: for models that were tuned without any instruction."""
QA = PromptTemplate("qa", "", TEXT)
"""The text alone, to be rendered by ``qa_chat_template`` in place of the tokenizer's own chat template."""
TEMPLATES = {template.name: template for template in (REVIEW, QUESTION, BARE, QA)}


def qa_chat_template(shots: Iterable[Row] = ()) -> str:
    """Jinja source of a chat template that writes ``Q: ...`` and ``A: ...``, as TruthfulQA asks a base model.

    ``shots``: examples, written in the same form before every conversation (few-shot prompting).
    """
    turns = [turn for row in shots for turn in row.turns]
    before = "".join(f"Q: {question}\nA: {answer}\n\n" for question, answer in turns)
    examples = f"{{{{ {json.dumps(before, ensure_ascii=False)} }}}}" if before else ""
    return examples + (
        "{% for m in messages %}"
        "{% if m['role'] == 'assistant' %}A: {{ m['content'] }}{{ eos_token }}\n\n"
        "{% elif m['role'] == 'user' %}Q: {{ m['content'] }}\n"
        "{% else %}{{ m['content'] }}\n\n{% endif %}"
        "{% endfor %}"
        "{% if add_generation_prompt %}A:{% endif %}"
    )


def template_for(row: AnyRow) -> PromptTemplate:
    """The template in use unless another is asked for."""
    return QUESTION if isinstance(row, QuestionRow) else REVIEW


def conversation(row: AnyRow, labels: Labels, template: PromptTemplate) -> Row:
    """The row as a conversation to train on: prompt and answer, made together."""
    return Row(((template.user_text(row.text), row.answer(labels)),), template.system, row.where)


def messages(row: AnyRow, labels: Labels, template: PromptTemplate) -> list[Message]:
    """The same as chat messages, the last one by the assistant."""
    return [*prompt_messages(row, template), {"role": "assistant", "content": row.answer(labels)}]


def prompt_messages(row: AnyRow, template: PromptTemplate) -> list[Message]:
    """The messages before the answer: what is asked in an evaluation."""
    system = [{"role": "system", "content": template.system}] if template.system else []
    return [*system, {"role": "user", "content": template.user_text(row.text)}]


def every_four_characters(text: str) -> Sequence[int]:
    """Where tokens begin in ``text``, in characters, where no tokenizer is at hand: about four characters a token."""
    return range(0, len(text), CHARACTERS_PER_TOKEN)


def fitted(
    rows: Sequence[R],
    labels: Labels,
    template: PromptTemplate,
    count_tokens: Counter,
    max_tokens: int,
    token_starts: TokenStarts = every_four_characters,
) -> tuple[list[R], int]:
    """(rows of at most ``max_tokens`` tokens, how many had to be cut).

    A longer conversation is cut in the middle of its *text*, never at the end: there stands the label. As many words
    are kept as fit, a quarter of them from the beginning and three quarters from the end, where reviewers say what
    they think. Ids and labels stay. Questions are not cut.

    Args:
        token_starts: says near which word to begin; what is kept depends on ``count_tokens`` alone.
    """
    # Both labels must fit, or the length would give the label away.
    longest = max(labels, key=lambda label: count_tokens(_conversation("", label, template)))
    done: list[R] = []
    with progress_bar(len(rows), "counting tokens", "row") as bar:
        for row in rows:
            short = row
            if isinstance(row, LabelledRow):
                short = _cut(
                    row, lambda text: count_tokens(_conversation(text, longest, template)), max_tokens, token_starts
                )
            done.append(short)
            bar.update()
    return done, sum(short is not row for short, row in zip(done, rows, strict=True))


def _conversation(text: str, answer: str, template: PromptTemplate) -> Row:
    return Row(((template.user_text(text), answer),), template.system)


def _cut(row: LabelledRow, count: Callable[[str], int], most: int, token_starts: TokenStarts) -> LabelledRow:
    """``row`` with the most words with which ``count(text)`` is at most ``most``; the same row where all fit."""
    whole = count(row.text)
    if whole <= most:
        return row
    words = row.text.split()
    if len(words) < 2:
        return replace(row, text=_kept(words, 0))
    expected = whole - _tokens_left_out(row.text, token_starts(row.text))
    low, high, error = 0, len(words), 0  # low words fit (or nothing does), high do not
    while high - low > 1:
        guess = int(np.searchsorted(expected, most - error, side="right")) - 1
        n = min(max(guess, low + 1), high - 1)
        found = count(_kept(words, n))
        low, high = (n, high) if found <= most else (low, n)
        error = found - int(expected[n])
    return replace(row, text=_kept(words, low))


def _tokens_left_out(text: str, starts: Sequence[int]) -> np.ndarray:
    """``[words]``: tokens of the words that are left out where 0, 1, 2 ... words are kept, by where tokens start."""
    ends = [0, *(word.end() for word in re.finditer(r"\S+", text))]
    before = np.searchsorted(np.asarray(starts), ends)  # tokens that start in the first 0, 1, 2 ... words
    n = np.arange(len(ends) - 1)
    return before[len(ends) - 1 - n + n // 4] - before[n // 4]


def _kept(words: Sequence[str], n: int) -> str:
    head = n // 4
    return (" ".join(words[:head]) + ELLIPSIS + " ".join(words[len(words) - (n - head) :])).strip()
