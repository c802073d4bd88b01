"""The log-probabilities that two models give the tokens of one text after one prompt, each from one forward pass."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from data.chat_template import Turns
from data.errors import UserError
from inference.batch import Batch, BatchRow, positions
from inference.generation import LoadedModel, chat_ids, require_known
from inference.lockstep import room
from inference.observations import Candidate, TokenScore

LIKELIEST = 5


@torch.inference_mode()
def score(
    pair: tuple[LoadedModel, LoadedModel],
    turns: tuple[Turns, Turns],
    prompt: str,
    system: str,
    text: Sequence[int] | str,
    new_tokens: int,
) -> tuple[TokenScore, ...]:
    """Every token of ``text`` (token ids, or a text that is encoded) as the answer to ``prompt``, under both models.

    Args:
        turns: the conversation before, as each of the two has it.
        new_tokens: room for an answer that both leave, as when answers are generated.

    No other thread may use the models meanwhile.

    Raises:
        UserError: a model is not here, the two have different tokenizers, or the text has no tokens or too many.
    """
    for each in pair:
        if each.model is None:
            raise UserError(f"{each.info.reference} is not loaded here, so the probabilities of its tokens are unknown")
    tokenizer = pair[0].tokenizer
    if pair[1].tokenizer is not tokenizer and pair[1].tokenizer.get_vocab() != tokenizer.get_vocab():
        raise UserError(
            "the two sides have different tokenizers, so the probabilities of their tokens can't be compared"
        )
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"] if isinstance(text, str) else list(text)
    most = min(positions(each.model) for each in pair) - 1
    if not 0 < len(tokens) <= most:
        raise UserError(f"the text has {len(tokens)} tokens; it must have 1 to {most}")
    first, other = (
        _log_probs(each, chat_ids(each, before, prompt, system), tokens, new_tokens)
        for each, before in zip(pair, turns, strict=True)
    )
    width = min(first.shape[-1], other.shape[-1])  # of two models, one may have padded its vocabulary
    kl = (other[:, :width].exp() * (other[:, :width] - first[:, :width])).nansum(-1).tolist()
    return tuple(
        TokenScore(
            token,
            tokenizer.decode([token]),
            (float(first[i, token]), float(other[i, token])),
            (_likeliest(first[i], tokenizer), _likeliest(other[i], tokenizer)),
            max(0.0, kl[i]),
        )
        for i, token in enumerate(tokens)
    )


def _log_probs(loaded: LoadedModel, prompt: list[int], tokens: Sequence[int], new_tokens: int) -> Tensor:
    """Log-probabilities ``[tokens, vocabulary]`` at each of ``tokens``, which come after ``prompt``."""
    kept = prompt[-room(loaded.model, max(new_tokens, len(tokens))) :]
    require_known(loaded, [*kept, *tokens])
    found: list[Tensor] = []
    Batch([BatchRow(loaded.model, loaded.adapter, [*kept, *tokens[:-1]], frozenset())], [0]).read(every=found.append)
    return found[0][0, len(kept) - 1 :].float().log_softmax(-1).cpu()


def _likeliest(log_probs: Tensor, tokenizer: Any) -> tuple[Candidate, ...]:
    top = log_probs.topk(min(LIKELIEST, log_probs.numel()))
    pairs = zip(top.indices.tolist(), top.values.exp().tolist(), strict=True)
    return tuple(Candidate(token, tokenizer.decode([token]), p) for token, p in pairs)
