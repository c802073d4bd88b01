"""What a version answers to the conversations of a comparison: token ids, text, and log-probabilities by token."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from data.chat_format import stop_token_ids
from data.chat_template import messages_of, prompt_ids
from data.conversation import Row
from inference.transcript import Sampling
from train.packing import batches_by_length

#: Tokens, padding included, whose keys and values are held at once: what a batch takes beside the weights.
BATCH_TOKENS = 256
#: So many of the last answers are scored under the base too: an export that left the adapter out scores them alike.
BASE_ROWS = 8


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
    ``stops``: the tokens that end an answer. ``base_log_probs``: of the last answers' tokens under the version's base,
    in nats; empty where the version is no adapter. ``vocabulary``: rows of its embedding.
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
    messages = [messages_of(row.turns, row.system)[:-1] for row in rows]
    answers, margins = _greedy(model, tokenizer, prompts, stops, max_new_tokens)
    base: list[list[float]] = []
    if hasattr(model, "disable_adapter"):
        with model.disable_adapter():
            base = scored(model, prompts[-BASE_ROWS:], answers.tokens[-BASE_ROWS:])
    return Reference(messages, answers, stops, base, model.get_input_embeddings().weight.shape[0], margins)


def _greedy(
    model: Any, tokenizer: Any, prompts: list[list[int]], stops: frozenset[int], most: int
) -> tuple[Answers, list[list[float]]]:
    """Greedy answers, and of each token its margin over the likeliest other one, in nats."""
    import torch

    from inference.batch import BatchRow
    from inference.lockstep import decode

    tokens: list[list[int]] = [[] for _ in prompts]
    log_probs: list[list[float]] = [[] for _ in prompts]
    margins: list[list[float]] = [[] for _ in prompts]
    sampling = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=most)
    lengths = [len(prompt) + most for prompt in prompts]
    for chosen in batches_by_length(lengths, len(prompts), BATCH_TOKENS):
        for step in decode([BatchRow(model, None, prompts[i], stops) for i in chosen], sampling):
            for error in step.failed.values():
                raise error
            for line, token in enumerate(step.tokens):
                if token is None:
                    continue
                every = torch.log_softmax(step.logits[line].float(), -1)
                own, every[token] = float(every[token]), -torch.inf
                tokens[chosen[line]].append(token)
                log_probs[chosen[line]].append(own)
                margins[chosen[line]].append(own - float(every.max()))
    texts = [tokenizer.decode(each, skip_special_tokens=True) for each in tokens]
    return Answers(prompts, tokens, texts, log_probs), margins


def scored(model: Any, prompts: Sequence[list[int]], tokens: Sequence[list[int]]) -> list[list[float]]:
    """The log-probability of each of ``tokens`` after what is before it, in nats, for each answer."""
    import torch

    found = []
    for prompt, answer in zip(prompts, tokens, strict=True):
        ids = torch.tensor([[*prompt, *answer]], device=model.device)
        with torch.no_grad():
            logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
        found.append(torch.log_softmax(logits.float(), -1).gather(-1, ids[0, len(prompt) :, None])[:, 0].tolist())
    return found
