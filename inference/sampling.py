"""Drawing the next token of each row of a batch, with luck that depends on nothing but the row's own seed and place.

Gumbel noise does it (Gumbel 1954; Maddison et al. 2014, "A* Sampling": ``argmax(logits + noise)`` is a sample), so rows
with one luck and one distribution draw the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SampledToken:
    """How a row's token is drawn; ``temperature`` 0 takes the likeliest. Equal ``luck`` is equal noise."""

    temperature: float
    top_p: float
    luck: tuple[int, ...]


def draw(logits: Tensor, draws: Sequence[SampledToken]) -> list[int]:
    """The next token of each row of ``logits [rows, vocabulary]``."""
    chosen = logits.argmax(-1)
    warm = [i for i, each in enumerate(draws) if each.temperature > 0]
    if warm:
        rows, drawn = logits if len(warm) == len(draws) else logits[warm], [draws[i] for i in warm]
        temperature = logits.new_tensor([[each.temperature] for each in drawn], dtype=torch.float32)
        lucks = list(dict.fromkeys(each.luck for each in drawn))
        noise = gumbel(logits.shape[-1], lucks)
        if 1 < len(lucks) < len(drawn):
            noise = noise[[lucks.index(each.luck) for each in drawn]]
        chosen[warm] = choose(rows, temperature, [each.top_p for each in drawn], noise)
    return chosen.tolist()


def gumbel(count: int, lucks: Sequence[tuple[int, ...]]) -> Tensor:
    """``[lucks, count]`` draws from the standard Gumbel distribution; a row is the same whenever its luck is.

    The first of a row are the same for any ``count``, so that who answers beside a pane does not change what it says.
    """
    noise, source = torch.empty((len(lucks), count), dtype=torch.float64), torch.Generator()
    for row, luck in zip(noise, lucks, strict=True):
        name = hashlib.blake2b(repr(luck).encode(), digest_size=4).digest()  # PyTorch's generator takes 32 bits
        source.manual_seed(int.from_bytes(name, "big"))
        torch.rand(count, generator=source, dtype=torch.float64, out=row)
    return noise.log_().neg_().log_().neg_().float()


def choose(logits: Tensor, temperature: Tensor | float, top_p: Sequence[float], noise: Tensor) -> Tensor:
    """A sample of each row of ``logits [rows, vocabulary]`` by ``noise``, which is as large or one row for all.

    Args:
        temperature: above 0; of all, or ``[rows, 1]``.
        top_p: one a row; only the smallest set of tokens whose probabilities reach it can be drawn.
    """
    scores = logits.float()
    scores = (scores - scores.amax(-1, keepdim=True)) / temperature  # no overflow, however cold it is
    picky = [i for i, share in enumerate(top_p) if share < 1]
    if picky:
        scores[picky] = _keep_likeliest(scores[picky], scores.new_tensor([[top_p[i]] for i in picky]))
    return (scores + noise.to(scores.device)).argmax(-1)


def _keep_likeliest(scores: Tensor, top_p: Tensor) -> Tensor:
    """``scores`` with all but the smallest set of tokens whose probabilities reach ``top_p`` at minus infinity."""
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    likely = ranked.softmax(-1)
    beyond = likely.cumsum(-1) - likely >= top_p
    beyond[..., 0] = False  # the likeliest token stays, whatever top_p is
    return scores.scatter(-1, order, ranked.masked_fill(beyond, float("-inf")))
