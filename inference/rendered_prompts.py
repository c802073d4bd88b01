"""The prompt as a model reads it: the conversation in its chat template, with the special tokens apart."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from data.chat_format import control_tokens
from data.chat_template import Turns
from inference.batch import positions
from inference.generation import LoadedModel, chat_ids, own_template
from inference.lockstep import room
from inference.observations import RenderedPrompt


def render(loaded: LoadedModel, turns: Turns, prompt: str, system: str, new_tokens: int) -> RenderedPrompt:
    """What ``loaded`` reads before an answer of at most ``new_tokens``.

    The tokenizer is changed meanwhile: only one thread at a time may use it.

    Raises:
        UserError: the chat template takes no such conversation.
    """
    ids = chat_ids(loaded, turns, prompt, system)
    kept = ids[-room(loaded.model, new_tokens) :]
    with own_template(loaded) as tokenizer:
        pieces = tuple(_pieces(tokenizer, kept))
    return RenderedPrompt(pieces, len(kept), len(ids) - len(kept), positions(loaded.model))


def _pieces(tokenizer: Any, ids: Sequence[int]) -> Iterator[tuple[str, bool]]:
    """The text of each special token, and of each run of other tokens: a character can take several of them."""
    control = control_tokens(tokenizer)
    special = {i for i in set(ids) if control.fullmatch(tokenizer.decode([i]))}
    for is_special, run in groupby(ids, special.__contains__):
        if is_special:
            yield from ((tokenizer.decode([i]), True) for i in run)
        else:
            yield tokenizer.decode(list(run)), False
