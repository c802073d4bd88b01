"""Before and after, the same way: base and tuned model answer the same rows through one code path."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from data.chat_template import prompt_ids
from data.conversation import Row
from data.errors import ConfigError
from evals import metrics
from evals.metrics import AnswerData
from registry.versions import Probe
from train.base_model import context_length
from train.encoding import encode
from train.losses import mean_loss

BATCH = 32


@dataclass(frozen=True)
class Decoding:
    """How answers are generated; greedy, so that a seed changes nothing."""

    max_new_tokens: int = 64


@dataclass(frozen=True)
class Answer:
    """One answer; ``stopped`` is True where the model ended it itself, before the cap.

    ``prompt_cut``: the prompt was too long for the model and lost its beginning.
    """

    text: str
    stopped: bool
    prompt_cut: bool = False


@dataclass(frozen=True)
class Scores:
    """A model on held-out rows: ``values`` by metric name, and the ``answers`` in row order."""

    values: dict[str, float]
    answers: list[Answer]


@torch.no_grad()
def answer(model: Any, tokenizer: Any, rows: Sequence[Row], decoding: Decoding) -> list[Answer]:
    """Greedy answers to the last prompt of each row, in batches of similar length, in row order.

    Raises:
        ConfigError: the longest answer would leave the model no room for a prompt.
    """
    model.eval()
    device = next(model.parameters()).device
    limit = context_length(model) - decoding.max_new_tokens
    if limit < 1:
        raise ConfigError(f"max_new_tokens={decoding.max_new_tokens}: the model has {context_length(model)} positions")
    asked = [prompt_ids(tokenizer, r.turns[:-1], r.prompt, r.system) for r in rows]
    prompts = [ids[-limit:] for ids in asked]
    order = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        width = max(len(prompts[i]) for i in chosen)
        ids = torch.zeros((len(chosen), width), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for r, i in enumerate(chosen):  # padding by length, on the left: the pad token may be any, EOS included
            ids[r, width - len(prompts[i]) :] = torch.tensor(prompts[i])
            mask[r, width - len(prompts[i]) :] = 1
        out = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            max_new_tokens=decoding.max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        for i, row in zip(chosen, out[:, width:].tolist(), strict=True):
            stopped = tokenizer.eos_token_id in row
            kept = row[: row.index(tokenizer.eos_token_id)] if stopped else row
            text = tokenizer.decode(kept, skip_special_tokens=True).strip()
            answers[i] = Answer(text, stopped, prompt_cut=len(asked[i]) > limit)
    return [answers[i] for i in range(len(rows))]


def score(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    trained: Sequence[Row],
    decoding: Decoding,
    max_length: int,
    speaks: Callable[[str], bool] | None = None,
) -> Scores:
    """Every metric of ``model`` on held-out ``rows``.

    Args:
        trained: the training rows, for ``copy_rate`` and ``train_loss`` (of at most as many of them as ``rows``).
        speaks: tells whether an answer has the style that was taught; gives ``lexicon_rate``.
    """
    answers = answer(model, tokenizer, rows, decoding)
    data = AnswerData(
        prompts=[r.prompt for r in rows],
        references=[r.response for r in rows],
        answers=[a.text for a in answers],
        stopped=[a.stopped for a in answers],
        prompt_cut=[a.prompt_cut for a in answers],
        training_responses=[r.response for r in trained],
        loss=mean_loss(model, encode(rows, tokenizer, "response", max_length)),
        train_loss=mean_loss(model, encode(trained[: len(rows)], tokenizer, "response", max_length)),
        has_style=speaks,
    )
    return Scores(metrics.defined(metrics.evaluate("answers", data)), answers)


def probe(model: Any, tokenizer: Any, rows: Sequence[Row], max_new_tokens: int) -> Probe:
    """Greedy answers of ``model`` to the last prompts of ``rows`` without history, and logits over the first prompt."""
    ids = prompt_ids(tokenizer, (), rows[0].prompt)
    alone = [replace(row, turns=row.turns[-1:], system="") for row in rows]
    texts = [each.text for each in answer(model, tokenizer, alone, Decoding(max_new_tokens))]
    device = next(model.parameters()).device
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids], device=device)).logits[0].float().cpu()
    return Probe([row.prompt for row in rows], texts, ids, logits)
