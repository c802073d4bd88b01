"""What a model reads and what it answers: one function makes both, from one row, for training and for evaluation."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data.conversation import Row
from data.errors import ConfigError
from data.labelled import AnyRow, LabelledRow, Labels, QuestionRow, R

TEXT = "{text}"
ELLIPSIS = " ... "
Message = dict[str, Any]
#: What is counted is a whole conversation, as the model sees it: its tokens.
Counter = Callable[[Row], int]


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
TEMPLATES = {template.name: template for template in (REVIEW, QUESTION, BARE)}


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


def fitted(
    rows: Iterable[R], labels: Labels, template: PromptTemplate, count_tokens: Counter, max_tokens: int
) -> tuple[list[R], int]:
    """(rows of at most ``max_tokens`` tokens, how many had to be cut).

    A longer conversation is cut in the middle of its *text*, never at the end: there stands the label. A quarter of
    what is kept comes from the beginning and three quarters from the end, where reviewers say what they think. Ids
    and labels stay. Questions are not cut.
    """
    done: list[R] = []
    cut = 0
    longest = max(labels, key=len)
    for row in rows:
        short = row
        if isinstance(row, LabelledRow):
            short = _cut(row, lambda text: count_tokens(_conversation(text, longest, template)) <= max_tokens)
        cut += short is not row
        done.append(short)
    return done, cut


def _conversation(text: str, answer: str, template: PromptTemplate) -> Row:
    # Both labels must fit, or the length would give the label away.
    return Row(((template.user_text(text), answer),), template.system)


def _cut(row: LabelledRow, fits: Callable[[str], bool]) -> LabelledRow:
    if fits(row.text):
        return row
    words = row.text.split()
    low, high = 0, len(words) - 1  # low words fit (or nothing does), high + 1 do not
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(_kept(words, middle)) else (low, middle - 1)
    return replace(row, text=_kept(words, low))


def _kept(words: Sequence[str], n: int) -> str:
    head = n // 4
    return (" ".join(words[:head]) + ELLIPSIS + " ".join(words[len(words) - (n - head) :])).strip()
