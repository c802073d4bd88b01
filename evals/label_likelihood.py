"""Labels of a language model on this machine: how likely each is as the answer, and what it answers.

A label's log-probability is the sum over its tokens, given the prompt exactly as it is trained; the end token is not
counted, unless one label's tokens are the beginning of another's, for only the end distinguishes such labels. Labels of
several tokens are as exact as those of one. Probabilities are then renormalised over the labels, so they say which
label is the likelier one even where the model would rather answer something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from data.chat_format import chat_format
from data.chat_template import prompt_ids, text_ids
from data.conversation import Row
from data.labelled import ANSWERS, AnyRow, Labels, QuestionRow
from data.progress import progress_bar
from data.prompts import PromptTemplate, conversation
from evals.classification import Prediction, parse_answer
from evals.generation import Answer, Decoding, answer, answer_both
from evals.multiple_choice import LogProbs
from inference.kv_cache import can_join
from train.encoding import IGNORE, Example, encode
from train.losses import sequence_log_probs
from train.packing import batches_by_length, pack

#: Rows (each with all of its answers) of one forward pass, and about as many tokens of all of them.
BATCH, BATCH_TOKENS = 16, 8192
#: Tokens of one packed row, where rows have answers of several tokens: they share the beginning of their prompts.
ROW_TOKENS = 1024
UNLIMITED = 2**31


@dataclass(frozen=True)
class _Scored:
    """Answers to one prompt: each sequence is the prompt and one answer, whose tokens are those that count."""

    sequences: tuple[Example, ...]

    @property
    def tokens(self) -> int:
        """How many different tokens are inputs, at most."""
        first = self.sequences[0]
        prompt = len(first.input_ids) - first.trained
        return prompt + sum(each.trained - 1 for each in self.sequences)


def log_probs(
    model: Any, tokenizer: Any, rows: Sequence[Row], answers: Sequence[Sequence[str]], with_end: bool = False
) -> list[list[float]]:
    """For each row the log-probability in nats of each of its answers, summed over the answer's tokens.

    A row's own answer does not matter, its prompt does. Answers to one prompt share its computation. ``with_end``
    counts the end token too: the chance that the answer is this and nothing more.
    """
    tokens = {text: answer_tokens(tokenizer, text, with_end) for each in answers for text in each}
    scored = [
        _scored(prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system), [tokens[text] for text in each])
        for row, each in zip(rows, answers, strict=True)
    ]
    return _sums(model, scored)


def text_log_probs(
    model: Any, tokenizer: Any, prompts: Sequence[str], answers: Sequence[Sequence[str]]
) -> list[list[float]]:
    """The same of answers that go on a text, after a space and without a chat template."""
    scored = []
    for prompt, each in zip(prompts, answers, strict=True):
        ids = text_ids(tokenizer, prompt)
        scored.append(_scored(ids, [text_ids(tokenizer, f"{prompt} {text}")[len(ids) :] for text in each]))
    return _sums(model, scored)


@torch.no_grad()
def _sums(model: Any, scored: Sequence[_Scored]) -> list[list[float]]:
    model.eval()
    device = next(model.parameters()).device
    found: dict[int, list[float]] = {}
    with progress_bar(len(scored), "scoring answers", "row") as bar:
        for chosen in batches_by_length([each.tokens for each in scored], BATCH, BATCH_TOKENS):
            batch = [scored[i] for i in chosen]
            sums = iter(sequence_log_probs(model, pack(batch, _row_tokens(batch)), device).tolist())
            found |= {i: [next(sums) for _ in scored[i].sequences] for i in chosen}
            bar.update(len(chosen))
    return [found[i] for i in range(len(scored))]


def _scored(prompt: Sequence[int], answers: Sequence[Sequence[int]]) -> _Scored:
    sequences = [
        Example(
            np.array([*prompt, *tokens], dtype=np.int32), np.array([IGNORE] * len(prompt) + [*tokens], dtype=np.int32)
        )
        for tokens in answers
    ]
    return _Scored(tuple(sequences))


def _row_tokens(batch: Sequence[_Scored]) -> int:
    """Room of a packed row: where each answer is one token, a prompt alone, which needs no mask, is the fastest."""
    longest = max(each.tokens for each in batch)
    branches = any(example.trained > 1 for each in batch for example in each.sequences)
    return max(longest, ROW_TOKENS) if branches else longest


def answer_tokens(tokenizer: Any, text: str, with_end: bool = False) -> list[int]:
    """The tokens that are trained where ``text`` is the answer, without the end token unless ``with_end``.

    Raises:
        DataError: the tokenizer can't write the text.
    """
    example = encode([Row((("?", text),))], tokenizer, "response", UNLIMITED)[0]
    tokens = example.input_ids[example.labels >= 0].tolist()
    return tokens if with_end else tokens[: -len(chat_format(tokenizer).end)]


def score_choices(
    model: Any, tokenizer: Any, rows: Sequence[QuestionRow], template: PromptTemplate
) -> list[LogProbs | None]:
    """Log-probability in nats of each choice of MC1 and MC2, summed over its tokens."""
    texts = [list(dict.fromkeys(text for text, _ in (*row.mc1, *row.mc2))) for row in rows]
    found = log_probs(model, tokenizer, [conversation(row, ANSWERS, template) for row in rows], texts)
    return [dict(zip(each, probs, strict=True)) for each, probs in zip(texts, found, strict=True)]


def p_second(pairs: Sequence[Sequence[float]]) -> list[float]:
    """Probability of the second of two answers, renormalised over both."""
    gaps = np.array([second - first for first, second in pairs])
    return (1 / (1 + np.exp(np.clip(-gaps, -700, 700)))).tolist()


def score_labels(
    model: Any, tokenizer: Any, rows: Sequence[AnyRow], labels: Labels, template: PromptTemplate
) -> list[Prediction]:
    """The label that the model finds likelier on each row, and its probability; nothing is generated."""
    conversations = [conversation(row, labels, template) for row in rows]
    found = log_probs(model, tokenizer, conversations, [labels] * len(rows), need_the_end(tokenizer, labels))
    return [Prediction(int(p > 0.5), p) for p in p_second(found)]  # type: ignore[arg-type]


def generate_labels(
    model: Any, tokenizer: Any, rows: Sequence[AnyRow], labels: Labels, template: PromptTemplate, decoding: Decoding
) -> list[Prediction]:
    """What the model answers by itself, greedily, with the probability of the second label beside it.

    Both come from one computation of each prompt. An answer that is no label is invalid, whatever its probability.
    """
    conversations = [conversation(row, labels, template) for row in rows]
    if not can_join(model):  # its cache can't be read ahead and taken back
        answers = answer(model, tokenizer, conversations, decoding)
        scored = [each.p_positive for each in score_labels(model, tokenizer, rows, labels, template)]
        return _predictions(answers, scored, labels)
    answers = answer(model, tokenizer, conversations, decoding, label_tokens(tokenizer, labels))
    return _predictions(answers, p_second([each.scores for each in answers]), labels)


def generate_labels_both(
    model: Any, tokenizer: Any, rows: Sequence[AnyRow], labels: Labels, template: PromptTemplate, decoding: Decoding
) -> tuple[list[Prediction], list[Prediction]]:
    """``generate_labels`` of the base of ``model`` and of the tuned model, computed in one batch.

    Args:
        model: a PEFT model with a plain LoRA adapter.
    """
    if not can_join(model):
        with model.disable_adapter():
            before = generate_labels(model, tokenizer, rows, labels, template, decoding)
        return before, generate_labels(model, tokenizer, rows, labels, template, decoding)
    conversations = [conversation(row, labels, template) for row in rows]
    before, after = (
        _predictions(answers, p_second([each.scores for each in answers]), labels)
        for answers in answer_both(model, tokenizer, conversations, decoding, label_tokens(tokenizer, labels))
    )
    return before, after


def _predictions(answers: Sequence[Answer], p_positive: Sequence[float | None], labels: Labels) -> list[Prediction]:
    return [
        Prediction(parse_answer(each.text, labels), p, each.text) for each, p in zip(answers, p_positive, strict=True)
    ]


def label_tokens(tokenizer: Any, labels: Labels) -> list[list[int]]:
    """The token ids of each label as an answer, with the end token only where nothing else distinguishes the labels."""
    with_end = need_the_end(tokenizer, labels)
    return [answer_tokens(tokenizer, label, with_end) for label in labels]


def need_the_end(tokenizer: Any, labels: Labels) -> bool:
    """Whether only the end token distinguishes the labels: one begins with the other."""
    tokens = [answer_tokens(tokenizer, label) for label in labels]
    shortest = min(map(len, tokens))
    return tokens[0][:shortest] == tokens[1][:shortest]
