"""What a version answers to the conversations of a comparison: token ids, text, and log-probabilities by token."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.chat_format import stop_token_ids
from data.chat_template import messages_of, prompt_ids
from data.conversation import Row
from evals.generation import batches_by_length
from inference.batch import BatchRow
from inference.lockstep import decode
from inference.transcript import Sampling

#: Tokens, padding included, whose keys and values are held at once: what a batch takes beside the weights.
BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Answers:
    """Greedy answers of one model to the same conversations, in their order.

    ``prompts``: token ids that were read; ``tokens``: of the answers, a stop token at their end included; ``texts``:
    the same without special tokens; ``log_probs``: of the version's own tokens under this model, in nats.
    """

    prompts: list[list[int]]
    tokens: list[list[int]]
    texts: list[str]
    log_probs: list[list[float]]


@dataclass(frozen=True)
class Reference:
    """The version's own answers, and what is needed to compare another model with it.

    ``margins``: of its tokens, by how many nats each is likelier than the likeliest other one.
    ``stops``: the tokens that end an answer. ``base_log_probs``: of the version's tokens under its base, in nats; empty
    where the version is no adapter. ``vocabulary``: rows of its embedding.
    """

    messages: list[list[dict[str, str]]]
    answers: Answers
    stops: frozenset[int]
    base_log_probs: list[list[float]]
    vocabulary: int
    margins: list[list[float]] = field(default_factory=list)


def reference_answers(
    model: Any, tokenizer: Any, rows: Sequence[Row], max_new_tokens: int, named: frozenset[int]
) -> Reference:
    """The answers of ``model`` (a PEFT model where the version is an adapter) to the last prompts of ``rows``.

    Args:
        named: the tokens that the version itself names as ends of an answer.
    """
    prompts = [prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system) for row in rows]
    stops = named | stop_token_ids(tokenizer, model)
    tokens = _greedy(model, prompts, stops, max_new_tokens)
    texts = [tokenizer.decode(each, skip_special_tokens=True) for each in tokens]
    messages = [messages_of(row.turns, row.system)[:-1] for row in rows]
    own, margins = scored(model, prompts, tokens)
    answers = Answers(prompts, tokens, texts, own)
    base: list[list[float]] = []
    if hasattr(model, "disable_adapter"):
        with model.disable_adapter():
            base, _ = scored(model, prompts, tokens)
    return Reference(messages, answers, stops, base, model.get_input_embeddings().weight.shape[0], margins)


def _greedy(model: Any, prompts: Sequence[list[int]], stops: frozenset[int], most: int) -> list[list[int]]:
    tokens: list[list[int]] = [[] for _ in prompts]
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=most)
    lengths = [len(prompt) + most for prompt in prompts]
    for chosen in batches_by_length(lengths, len(prompts), BATCH_TOKENS):
        for step in decode([BatchRow(model, None, prompts[i], stops) for i in chosen], sampling):
            for error in step.failed.values():
                raise error
            for i, token in zip(chosen, step.tokens, strict=True):
                tokens[i] += [] if token is None else [token]
    return tokens


def scored(
    model: Any, prompts: Sequence[list[int]], tokens: Sequence[list[int]]
) -> tuple[list[list[float]], list[list[float]]]:
    """The log-probability of each of ``tokens`` after what is before it, and its margin over the likeliest other token.

    Both in nats, for each answer and token.
    """
    import torch

    found, margins = [], []
    for prompt, answer in zip(prompts, tokens, strict=True):
        ids = torch.tensor([[*prompt, *answer]], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
        chosen = ids[0, len(prompt) :, None]
        every = torch.log_softmax(logits.float(), -1)
        own = every.gather(-1, chosen)[:, 0]
        found.append(own.tolist())
        margins.append((own - every.scatter(-1, chosen, -torch.inf).amax(-1)).tolist())
    return found, margins
