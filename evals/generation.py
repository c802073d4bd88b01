"""Evaluation of answers: base and tuned model answer the same rows, in one batch where the tuned one is a LoRA."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from data.chat_format import stop_token_ids
from data.chat_template import prompt_ids, row_prompt_ids, visible_text
from data.conversation import Row
from data.errors import ConfigError
from data.progress import progress_bar
from evals import metrics
from evals.metric import AnswerData
from evals.paired import ratio
from inference.batch import BatchRow
from inference.bf16_linear import in_float32
from inference.lockstep import decode
from inference.lora import LoraAdapter, adapter_of
from inference.transcript import Sampling
from registry.versions import Probe
from train.base_model import context_length
from train.encoding import encode
from train.losses import row_losses
from train.packing import batches_by_length

#: Rows of a batch for each model, and tokens of all of its rows.
BATCH, BATCH_TOKENS = 64, 16384


@dataclass(frozen=True)
class Decoding:
    """How answers are generated; greedy, so that a seed changes nothing."""

    max_new_tokens: int = 64


@dataclass(frozen=True)
class Answer:
    """One answer; ``stopped`` is True where the model ended it itself, before the cap.

    ``prompt_cut``: the prompt was too long for the model and lost its beginning. ``scores``: log-probabilities in nats
    of the texts that were to be scored after the prompt.
    """

    text: str
    stopped: bool
    prompt_cut: bool = False
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Scores:
    """A model on held-out rows: ``values`` by metric name, and the ``answers`` in row order.

    ``statistics``: those of the rows, by metric, see ``evals.metrics.statistics``. ``data``: what both come from.
    ``of_training_rows``: the statistics of the metrics of training rows. Other versions may have other training rows,
    so these are compared within a run, but are not claimed, promoted by, or kept for later versions.
    """

    values: dict[str, float]
    answers: list[Answer]
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    data: AnswerData | None = None
    of_training_rows: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def of_all_rows(self) -> dict[str, np.ndarray]:
        """The statistics of held-out and of training rows: a model with the same training rows is compared by both."""
        return {**self.statistics, **self.of_training_rows}


def answer(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    decoding: Decoding,
    continuations: Sequence[Sequence[int]] = (),
    whose: str = "",
) -> list[Answer]:
    """Greedy answers to the last prompt of each row, in batches of similar length, in row order.

    Args:
        continuations: token ids of texts whose log-probabilities after each prompt are computed along the way.
        whose: what the progress bar calls the model: base, tuned.

    Raises:
        ConfigError: the longest answer would leave the model no room for a prompt.
    """
    model.eval()
    return _answers([(model, None)], tokenizer, rows, decoding, continuations, whose)[0]


def answer_both(
    model: Any, tokenizer: Any, rows: Sequence[Row], decoding: Decoding, continuations: Sequence[Sequence[int]] = ()
) -> tuple[list[Answer], list[Answer]]:
    """Greedy answers of the base and of the tuned model, computed in one batch.

    Args:
        model: a PEFT model with a plain LoRA adapter; the base's rows are computed without it.
        continuations: as for ``answer``.

    Raises:
        ConfigError: the longest answer would leave the model no room for a prompt.
    """
    before, after = answer_scaled(model, tokenizer, rows, decoding, (0, 1), continuations, "base and tuned")
    return before, after


def answer_scaled(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    decoding: Decoding,
    scales: Sequence[float],
    continuations: Sequence[Sequence[int]] = (),
    whose: str = "",
) -> list[list[Answer]]:
    """For each of ``scales`` the greedy answers with the adapter so scaled, all computed in one batch.

    Args:
        model: a PEFT model with a plain LoRA adapter; at scale 0 rows are computed without it.
        continuations, whose: as for ``answer``.

    Raises:
        ConfigError: the longest answer would leave the model no room for a prompt.
    """
    model.eval()
    adapter = adapter_of(model)
    with model.disable_adapter():
        base = model.get_base_model()
        scaled = [(base, replace(adapter, scale=adapter.scale * each) if each else None) for each in scales]
        return _answers(scaled, tokenizer, rows, decoding, continuations, whose)


def _answers(
    models: Sequence[tuple[Any, LoraAdapter | None]],
    tokenizer: Any,
    rows: Sequence[Row],
    decoding: Decoding,
    continuations: Sequence[Sequence[int]] = (),
    whose: str = "",
) -> list[list[Answer]]:
    """For each model the answers to ``rows``; equal models with different adapters share their batches."""
    model = models[0][0]
    limit = context_length(model) - decoding.max_new_tokens
    if limit < 1:
        raise ConfigError(f"max_new_tokens={decoding.max_new_tokens}: the model has {context_length(model)} positions")
    prompts = [row_prompt_ids(tokenizer, row) for row in rows]
    found: list[dict[int, Answer]] = [{} for _ in models]
    ends = stop_token_ids(tokenizer, model)
    lengths = [(min(len(prompt), limit) + decoding.max_new_tokens) * len(models) for prompt in prompts]
    with progress_bar(len(rows), f"{whose} answers".strip(), "row") as bar:
        for chosen in batches_by_length(lengths, BATCH, BATCH_TOKENS):
            batch = [BatchRow(model, adapter, prompts[i][-limit:], ends) for model, adapter in models for i in chosen]
            for k, (tokens, scores) in enumerate(_generate(batch, decoding.max_new_tokens, continuations)):
                i, stopped = chosen[k % len(chosen)], bool(tokens) and tokens[-1] in ends
                text = visible_text(tokenizer, tokens[:-1] if stopped else tokens).strip()
                found[k // len(chosen)][i] = Answer(text, stopped, len(prompts[i]) > limit, scores)
            bar.update(len(chosen))
    return [[answers[i] for i in range(len(rows))] for answers in found]


def _generate(
    batch: Sequence[BatchRow], max_new_tokens: int, continuations: Sequence[Sequence[int]]
) -> list[tuple[list[int], tuple[float, ...]]]:
    """For each row the tokens of its greedy answer, and the log-probabilities of ``continuations``."""
    tokens: list[list[int]] = [[] for _ in batch]
    scores: dict[int, list[float]] = {}
    greedy = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=max_new_tokens)
    for step in decode(batch, greedy, continuations=[continuations] * len(batch) if continuations else ()):
        for error in step.failed.values():
            raise error
        scores |= step.scores
        for k, token in enumerate(step.tokens):
            if token is not None:
                tokens[k].append(token)
    return [(each, tuple(scores.get(k, ()))) for k, each in enumerate(tokens)]


def score(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    trained: Sequence[Row],
    decoding: Decoding,
    max_length: int,
    has_style: Callable[[str], bool] | None = None,
    whose: str = "",
) -> Scores:
    """Every metric of ``model`` on held-out ``rows``; ``whose``: see ``answer``.

    Args:
        trained: the training rows, for ``copy_rate`` and ``train_loss`` (of at most as many of them as ``rows``).
        has_style: whether an answer has the style of the training responses; gives ``lexicon_rate``.
    """
    answers = answer(model, tokenizer, rows, decoding, whose=whose)
    return scored(model, tokenizer, rows, trained, answers, max_length, has_style)


def score_both(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    trained: Sequence[Row],
    decoding: Decoding,
    max_length: int,
    has_style: Callable[[str], bool] | None = None,
) -> tuple[Scores, Scores]:
    """Every metric of the base of ``model``, a PEFT model with plain LoRA, and of the tuned model; see ``score``."""
    before, after = answer_both(model, tokenizer, rows, decoding)
    with model.disable_adapter():
        base = scored(model, tokenizer, rows, trained, before, max_length, has_style)
    return base, scored(model, tokenizer, rows, trained, after, max_length, has_style)


def scored(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    trained: Sequence[Row],
    answers: list[Answer],
    max_length: int,
    has_style: Callable[[str], bool] | None,
) -> Scores:
    """Every metric of ``model`` whose ``answers`` to ``rows`` are known; the rest as for ``score``."""
    losses = _row_losses(model, tokenizer, rows, max_length)
    of_trained = _row_losses(model, tokenizer, trained[: len(rows)], max_length) if trained else None
    data = AnswerData(
        prompts=[r.prompt for r in rows],
        references=[r.response for r in rows],
        answers=[a.text for a in answers],
        stopped=[a.stopped for a in answers],
        prompt_cut=[a.prompt_cut for a in answers],
        training_responses=[r.response for r in trained],
        loss=float(ratio(losses.sum(0))),
        train_loss=None if of_trained is None else float(ratio(of_trained.sum(0))),
        has_style=has_style,
        row_losses=losses,
    )
    values = metrics.defined(metrics.evaluate("answers", data))
    of_training_rows = {} if of_trained is None else {"train_loss": of_trained}
    return Scores(values, answers, metrics.statistics("answers", data), data, of_training_rows)


def _row_losses(model: Any, tokenizer: Any, rows: Sequence[Row], max_length: int) -> np.ndarray:
    """Loss in nats of each row's responses, and how many tokens these have: ``[rows, 2]``."""
    examples = encode(rows, tokenizer, "response", max_length)
    found = row_losses(model, examples)
    if len(examples) == len(rows):
        return found
    sizes = [len(encode([row], tokenizer, "response", max_length)) for row in rows]  # several where a template says so
    return np.add.reduceat(found, np.cumsum([0, *sizes[:-1]]))


def probe(model: Any, tokenizer: Any, rows: Sequence[Row], max_new_tokens: int) -> Probe:
    """Greedy answers of ``model`` to the last prompts of ``rows`` without history, and logits over the first prompt.

    They are computed in float32, as a logged model does on any machine.
    """
    ids = prompt_ids(tokenizer, (), rows[0].prompt)
    alone = [replace(row, turns=row.turns[-1:], system="", chat=None) for row in rows]
    device = next(model.parameters()).device
    with torch.no_grad(), in_float32(model):
        texts = [each.text for each in answer(model, tokenizer, alone, Decoding(max_new_tokens))]
        logits = model(input_ids=torch.tensor([ids], device=device)).logits[0].float().cpu()
    return Probe([row.prompt for row in rows], texts, ids, logits)
