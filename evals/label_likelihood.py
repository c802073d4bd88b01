"""Labels of a language model on this machine: how likely each is as the answer, and what it answers.

A label's log-probability is the sum over its tokens, given the prompt exactly as it is trained; the end token is not
counted, unless one label's tokens are the beginning of another's, for only the end distinguishes such labels. Labels of
several tokens are as exact as those of one. Probabilities are then renormalised over the labels, so they say which
label is the likelier one even where the model would rather answer something else.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from data.conversation import Row
from data.labelled import AnyRow, Labels
from data.prompts import PromptTemplate, conversation
from evals.classification import Prediction, parse_answer
from evals.generation import Answer, Decoding, answer, answer_both
from inference.kv_cache import can_join
from train.encoding import Example, encode
from train.losses import trained_logits
from train.packing import pack, packing_order

#: Rows (each with all of its answers) of one forward pass, and tokens of one packed row.
BATCH, ROW_TOKENS = 16, 512
UNLIMITED = 2**31


@torch.no_grad()
def log_probs(
    model: Any, tokenizer: Any, rows: Sequence[Row], answers: Sequence[Sequence[str]], with_end: bool = False
) -> list[list[float]]:
    """For each row the log-probability in nats of each of its answers, summed over the answer's tokens.

    A row's own answer does not matter, its prompt does. Answers to one prompt share its computation. ``with_end``
    counts the end token too: the chance that the answer is this and nothing more.
    """
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt))
    found: dict[int, list[float]] = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        examples = [_examples(rows[i], answers[i], tokenizer, with_end) for i in chosen]
        sums = _sums([example for each in examples for example in each], model, device)
        for i, each in zip(chosen, examples, strict=True):
            found[i] = [sums[id(example)] for example in each]
    return [found[i] for i in range(len(rows))]


def _examples(row: Row, answers: Sequence[str], tokenizer: Any, with_end: bool) -> list[Example]:
    conversations = [Row((*row.turns[:-1], (row.prompt, text)), row.system, row.where) for text in answers]
    whole = encode(conversations, tokenizer, "response", UNLIMITED)
    return whole if with_end else [Example(each.input_ids[:-1], each.labels[:-1]) for each in whole]


def _sums(examples: Sequence[Example], model: Any, device: torch.device) -> dict[int, float]:
    """Sum of the trained tokens' log-probabilities by the identity of each example."""
    batch = pack(examples, ROW_TOKENS)
    logits = trained_logits(model, batch, device).float()
    targets = torch.from_numpy(batch.targets).to(device)
    each = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].double().cpu().numpy()
    found: dict[int, float] = {}
    at = 0
    for example in packing_order(examples, ROW_TOKENS):
        found[id(example)] = float(each[at : at + example.trained].sum())
        at += example.trained
    return found


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
    encoded = [encode([Row((("?", label),))], tokenizer, "response", UNLIMITED)[0] for label in labels]
    tokens = [each.input_ids[each.labels >= 0].tolist() for each in encoded]
    return tokens if with_end else [each[:-1] for each in tokens]


def need_the_end(tokenizer: Any, labels: Labels) -> bool:
    """Whether only the end token distinguishes the labels: one begins with the other."""
    encoded = [encode([Row((("?", label),))], tokenizer, "response", UNLIMITED)[0] for label in labels]
    tokens = [each.input_ids[each.labels >= 0][:-1].tolist() for each in encoded]
    shortest = min(map(len, tokens))
    return tokens[0][:shortest] == tokens[1][:shortest]
