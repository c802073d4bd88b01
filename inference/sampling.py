"""Sampling the next token of each row of a batch, with noise that depends on the row's own seed and position only.

By the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014, "A* Sampling": ``argmax(logits + noise)`` is a sample), rows
with one seed and one distribution get the same token.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenSampling:
    """How one token is sampled.

    ``temperature`` 0 takes the likeliest token. ``seed``: equal seeds give equal noise. ``bias [vocabulary]`` is added
    to the logits first; None for none. ``allowed [vocabulary]``: true for the tokens that can be sampled; None for all.

    ``top_k`` most likely tokens can be sampled; 0 is all. ``min_p``: only those at least so many times as likely as the
    likeliest (Nguyen et al. 2024). ``seen [vocabulary]``: tokens whose logits ``repetition_penalty`` divides where they
    are above 0, and multiplies elsewhere (Keskar et al. 2019), before the bias.
    """

    temperature: float
    top_p: float
    seed: tuple[int, ...]
    bias: Tensor | None = None
    allowed: Tensor | None = None
    top_k: int = 0
    min_p: float = 0.0
    seen: Tensor | None = None
    repetition_penalty: float = 1.0

    @property
    def changes_logits(self) -> bool:
        """Whether the logits are changed before the temperature."""
        return not (self.bias is None and self.allowed is None and self.seen is None)


@dataclass(frozen=True)
class TokenLogProbs:
    """Log-probability in nats of the token that was sampled, and (token id, log-probability) of the likeliest ones."""

    logprob: float
    top: Sequence[tuple[int, float]] = ()


def sample(logits: Tensor, how: Sequence[TokenSampling]) -> list[int]:
    """The next token of each row of ``logits [rows, vocabulary]``."""
    logits = _biased(logits, how)
    chosen = logits.argmax(-1)
    random = [i for i, each in enumerate(how) if each.temperature > 0]
    if random:
        rows, settings = logits if len(random) == len(how) else logits[random], [how[i] for i in random]
        temperature = logits.new_tensor([[each.temperature] for each in settings], dtype=torch.float32)
        seeds = list(dict.fromkeys(each.seed for each in settings))
        noise = gumbel(logits.shape[-1], seeds)
        if 1 < len(seeds) < len(settings):
            noise = noise[[seeds.index(each.seed) for each in settings]]
        cuts = [(each.min_p, each.top_k) for each in settings]
        chosen[random] = sample_by_noise(rows, temperature, [each.top_p for each in settings], noise, cuts)
    return chosen.tolist()


def _biased(logits: Tensor, how: Sequence[TokenSampling]) -> Tensor:
    """``logits`` with each row's penalty and bias, and minus infinity for tokens that it does not allow."""
    changed = [(i, each) for i, each in enumerate(how) if each.changes_logits]
    if changed:
        logits = logits.clone()
        for i, each in changed:
            if each.seen is not None:
                penalized = torch.where(logits[i] > 0, logits[i] / each.repetition_penalty,
                                        logits[i] * each.repetition_penalty)  # fmt: skip
                logits[i] = torch.where(each.seen, penalized, logits[i])
            if each.bias is not None:
                logits[i] += each.bias
            if each.allowed is not None:
                logits[i].masked_fill_(~each.allowed.to(logits.device), float("-inf"))
    return logits


def gumbel(count: int, seeds: Sequence[tuple[int, ...]]) -> Tensor:
    """``[seeds, count]`` values of the standard Gumbel distribution; equal seeds give equal rows.

    The first values of a row are the same for any ``count``: a model of another vocabulary changes no other's noise.
    """
    noise, source = torch.empty((len(seeds), count), dtype=torch.float64), torch.Generator()
    for row, seed in zip(noise, seeds, strict=True):
        name = hashlib.blake2b(repr(seed).encode(), digest_size=4).digest()  # PyTorch's generator takes 32 bits
        source.manual_seed(int.from_bytes(name, "big"))
        torch.rand(count, generator=source, dtype=torch.float64, out=row)
    return noise.log_().neg_().log_().neg_().float()


def sample_by_noise(
    logits: Tensor,
    temperature: Tensor | float,
    top_p: Sequence[float],
    noise: Tensor,
    cuts: Sequence[tuple[float, int]] = (),
) -> Tensor:
    """A sample of each row of ``logits [rows, vocabulary]`` by ``noise``, which is as large or one row for all.

    Args:
        temperature: above 0; of all, or ``[rows, 1]``.
        top_p: one a row; only the smallest set of tokens whose probabilities reach it can be sampled.
        cuts: (min_p, top_k) of each row, which leave out tokens before ``top_p`` does.
    """
    scores = logits.float()
    scores = (scores - scores.amax(-1, keepdim=True)) / temperature  # no overflow, however low it is
    for i, (min_p, top_k) in enumerate(cuts):
        least = math.log(min_p) if min_p > 0 else -math.inf  # the likeliest has 0
        if 0 < top_k < scores.shape[-1]:
            least = max(least, float(scores[i].topk(top_k).values[-1]))
        if least > -math.inf:
            scores[i] = scores[i].masked_fill(scores[i] < least, -math.inf)
    cut = [i for i, share in enumerate(top_p) if share < 1]
    if cut:
        scores[cut] = _keep_likeliest(scores[cut], scores.new_tensor([[top_p[i]] for i in cut]))
    return (scores + noise.to(scores.device)).argmax(-1)


def _keep_likeliest(scores: Tensor, top_p: Tensor) -> Tensor:
    """``scores`` with all but the smallest set of tokens whose probabilities reach ``top_p`` at minus infinity."""
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    likely = ranked.softmax(-1)
    beyond = likely.cumsum(-1) - likely >= top_p
    beyond[..., 0] = False  # the likeliest token stays, whatever top_p is
    return scores.scatter(-1, order, ranked.masked_fill(beyond, float("-inf")))


def log_probs(logits: Tensor, tokens: Sequence[int], top: Sequence[int | None]) -> list[TokenLogProbs | None]:
    """The log-probability of each row's token under ``logits [rows, vocabulary]``, before temperature and bias.

    Args:
        top: for each row, how many of the likeliest tokens to list; None computes nothing for the row.
    """
    rows = [i for i, count in enumerate(top) if count is not None]
    found: list[TokenLogProbs | None] = [None] * len(top)
    if not rows:
        return found
    every = logits[rows].float().log_softmax(-1)
    own = every.gather(-1, torch.tensor([[tokens[i]] for i in rows], device=logits.device))[:, 0].tolist()
    likeliest = every.topk(min(max(count or 0 for count in top), every.shape[-1]))
    ids, values = likeliest.indices.tolist(), likeliest.values.tolist()
    for at, i in enumerate(rows):
        pairs = list(zip(ids[at], values[at], strict=True))
        found[i] = TokenLogProbs(own[at], pairs[: top[i]])
    return found
