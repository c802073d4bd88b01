"""What a model reads and what it answers: one function makes both, from one row, for training and for evaluation."""

import json
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
#: Counts the tokens of each of several texts alone.
TextCounter = Callable[[Sequence[str]], Sequence[int]]
CHARACTERS_PER_TOKEN = 4
#: A text is taken to be at most so many times the tokens of its words and line ends, and at least the inverse of
#: ``LONG`` times as many: between the two it is counted.
MARGIN, LONG = 1.1, 1.5
ROWS_AT_ONCE = 500


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


def by_characters(texts: Sequence[str]) -> list[int]:
    """Tokens of each text where no tokenizer is at hand: one per four characters."""
    return [-(-len(text) // CHARACTERS_PER_TOKEN) for text in texts]


def fitted(
    rows: Sequence[R],
    labels: Labels,
    template: PromptTemplate,
    count_tokens: Counter,
    max_tokens: int,
    count_texts: TextCounter | None = None,
) -> tuple[list[R], int]:
    """(rows of at most ``max_tokens`` tokens, how many had to be cut).

    A longer conversation is cut in the middle of its *text*, never at the end: there stands the label. As many words
    are kept as fit, a quarter of them from the beginning and three quarters from the end, where reviewers say what
    they think. Ids and labels stay. Questions are not cut.

    Args:
        count_texts: counts the tokens of words, each once, however many rows have it: a row whose words are far fewer
            tokens than fit is not counted as a whole. What is kept of other rows depends on ``count_tokens`` alone.
    """
    # Both labels must fit, or the length would give the label away.
    longest = max(labels, key=lambda label: count_tokens(_conversation("", label, template)))

    def count(text: str) -> int:
        return count_tokens(_conversation(text, longest, template))

    shorten = _Shortener(count, max_tokens, count_texts)
    done: list[R] = []
    with progress_bar(len(rows), "counting tokens", "row") as bar:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[start : start + ROWS_AT_ONCE]
            shorten.read_words([row.text for row in some if isinstance(row, LabelledRow)])
            done += [shorten(row) if isinstance(row, LabelledRow) else row for row in some]
            bar.update(len(some))
    return done, sum(short is not row for short, row in zip(done, rows, strict=True))


def _conversation(text: str, answer: str, template: PromptTemplate) -> Row:
    return Row(((template.user_text(text), answer),), template.system)


class _Shortener:
    """Cuts texts for which ``count(text)``, the tokens of the whole conversation, is more than ``most``."""

    def __init__(self, count: Callable[[str], int], most: int, count_texts: TextCounter | None) -> None:
        self.count, self.most, self.count_texts = count, most, count_texts
        self.around = count("")
        self.words: dict[str, int] = {}  # tokens of each word, with the space before it

    def read_words(self, texts: Sequence[str]) -> None:
        """Count the words of ``texts`` that are new."""
        new = list({word for text in texts for word in text.split()} - self.words.keys())
        if new:
            counted = (self.count_texts or by_characters)([f" {word}" for word in new])
            self.words |= zip(new, counted, strict=True)

    def __call__(self, row: LabelledRow) -> LabelledRow:
        """``row`` with the most words with which it fits; the same row where all do."""
        words = row.text.split()
        before = np.cumsum([0, *map(self.words.__getitem__, words)])  # tokens of the first 0, 1, 2 ... words
        spaces = row.text.count("\n") + row.text.count("\t") + row.text.count("  ")
        whole = self.around + int(before[-1]) + spaces
        if self.count_texts and whole * MARGIN <= self.most:
            return row
        if not self.count_texts or whole <= self.most * LONG:
            whole = self.count(row.text)
            if whole <= self.most:
                return row
        n = np.arange(len(words))  # words that are kept
        expected = whole - (before[len(words) - n + n // 4] - before[n // 4])
        low, high, error = 0, len(words), 0  # low words fit (or nothing does), high do not
        while high - low > 1:
            guess = int(np.searchsorted(expected, self.most - error, side="right")) - 1
            kept = min(max(guess, low + 1), high - 1)
            found = self.count(_kept(words, kept))
            low, high = (kept, high) if found <= self.most else (low, kept)
            error = found - int(expected[kept])
        return replace(row, text=_kept(words, low))


def _kept(words: Sequence[str], n: int) -> str:
    head = n // 4
    return (" ".join(words[:head]) + ELLIPSIS + " ".join(words[len(words) - (n - head) :])).strip()
