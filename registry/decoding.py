"""Paired, batched decoding: every pane's next token at the same moment, drawn with the same luck.

Panes that speak with one model, each with an adapter of its own or none, are rows of one batch. Other models go
beside it in lockstep, one token each in turn. One vector of Gumbel noise a step serves all panes, so that equal
models give equal samples (Gumbel 1954; Maddison et al. 2014, "A* Sampling": ``argmax(logits + noise)`` is a sample).
"""

import hashlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from registry.adapters import Adapter, Mixture
from registry.transcript import Sampling


@dataclass(frozen=True)
class Line:
    """What one pane decodes: ``model`` with ``adapter``, from ``prompt`` (token ids) on, until one of ``ends``."""

    model: Any
    adapter: Adapter | None
    prompt: Sequence[int]
    ends: Set[int]


class Step:
    """One token of every line that had not ended before; ``tokens[i]`` is None where line ``i`` had.

    ``failed``: the errors of lines whose model broke down at this step; the others go on.
    """

    def __init__(self, tokens: list[int | None], logits: dict[int, Tensor], failed: dict[int, Exception]):
        self.tokens = tokens
        self.failed = failed
        self._logits = logits

    def likeliest(self, line: int, count: int = 5) -> list[tuple[int, float]]:
        """The ``count`` likeliest tokens of ``line`` here and their probabilities, before temperature and top_p."""
        likely = torch.softmax(self._logits[line].float(), -1)
        top = likely.topk(min(count, likely.numel()))
        return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))


def decode(lines: Sequence[Line], sampling: Sampling, turn: int = 0) -> Iterator[Step]:
    """Yield one ``Step`` a token until every line has ended, has ``sampling.max_new_tokens``, or has failed.

    Args:
        lines: rows of the same ``model`` object become one batch.
        turn: which prompt of a conversation this is: it gets noise of its own.

    No other thread may use the models while a step is made; between two steps they are as they were before. A prompt
    that leaves too little room loses its beginning, and an answer ends where the model's positions do.
    """
    groups: dict[int, list[int]] = {}
    for i, line in enumerate(lines):
        groups.setdefault(id(line.model), []).append(i)
    batches = [_Batch([lines[i] for i in rows], rows, sampling) for rows in groups.values()]
    for at in range(sampling.max_new_tokens):
        tokens: list[int | None] = [None] * len(lines)
        logits: dict[int, Tensor] = {}
        failed: dict[int, Exception] = {}
        luck = (sampling.seed, turn, at)
        for batch in batches:
            try:
                for row, token, seen in batch.advance(sampling, luck):
                    tokens[row], logits[row] = token, seen
            except Exception as error:  # one model without memory, or with a forward of its own mind, stops no other
                failed |= dict.fromkeys(batch.rows, error)
                batch.rows = []
        if not (logits or failed):
            return
        yield Step(tokens, logits, failed)


def gumbel(count: int, luck: tuple[int, ...]) -> Tensor:
    """``[count]`` draws from the standard Gumbel distribution, the same whenever ``luck`` is.

    The first of them are the same for any ``count``, so that who answers beside a pane does not change what it says.
    """
    name = hashlib.blake2b(repr(luck).encode(), digest_size=4).digest()  # PyTorch's generator takes 32 bits
    source = torch.Generator().manual_seed(int.from_bytes(name, "big"))
    return torch.rand(count, generator=source, dtype=torch.float64).log_().neg_().log_().neg_().float()


def choose(logits: Tensor, sampling: Sampling, noise: Tensor | None) -> Tensor:
    """The next token of each row of ``logits [rows, vocabulary]``: the likeliest, or a sample by ``noise``."""
    if noise is None:
        return logits.argmax(-1)
    scores = logits.float()
    scores = (scores - scores.amax(-1, keepdim=True)) / sampling.temperature  # no overflow, however cold it is
    if sampling.top_p < 1:
        scores = _keep_likeliest(scores, sampling.top_p)
    return (scores + noise.to(scores.device)).argmax(-1)


def _keep_likeliest(scores: Tensor, top_p: float) -> Tensor:
    """``scores`` with all but the smallest set of tokens whose probabilities reach ``top_p`` at minus infinity."""
    ranked, order = scores.sort(dim=-1, descending=True, stable=True)
    likely = ranked.softmax(-1)
    beyond = likely.cumsum(-1) - likely >= top_p
    beyond[..., 0] = False  # the likeliest token stays, whatever top_p is
    return scores.scatter(-1, order, ranked.masked_fill(beyond, float("-inf")))


def positions(model: Any) -> int:
    """How many tokens ``model`` can read at all; 2048 where it does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2048


def room(model: Any, new_tokens: int) -> int:
    """The longest prompt, in tokens, that leaves ``model`` positions for ``new_tokens``; at least 1."""
    return max(1, positions(model) - new_tokens)


class _Batch:
    """The rows of one model: prompts padded on the left to one width, rows that ended taken out."""

    def __init__(self, lines: Sequence[Line], rows: Sequence[int], sampling: Sampling):
        self.model = lines[0].model
        self.device = next(self.model.parameters()).device
        self.lines, self.rows = list(lines), list(rows)
        self.cache = DynamicCache(config=self.model.config)
        self.limit = positions(self.model)
        longest = room(self.model, sampling.max_new_tokens)
        prompts = [line.prompt[-longest:] for line in lines]
        width = max(map(len, prompts))
        self.ids = torch.zeros((len(lines), width), dtype=torch.long)
        self.mask = torch.zeros_like(self.ids)
        for row, prompt in enumerate(prompts):
            self.ids[row, width - len(prompt) :] = torch.tensor(prompt)
            self.mask[row, width - len(prompt) :] = 1
        self.positions = (self.mask.cumsum(-1) - 1).clamp_(min=0)
        self.padded = len({len(prompt) for prompt in prompts}) > 1
        self._mix()

    def _mix(self) -> None:
        self.mixture = Mixture(self.model, [line.adapter for line in self.lines])

    @torch.inference_mode()
    def advance(self, sampling: Sampling, luck: tuple[int, ...]) -> list[tuple[int, int, Tensor]]:
        """Each row's next token: (line, token, logits ``[vocabulary]``)."""
        if not self.rows:
            return []
        with self.mixture.worn():
            out = self.model(
                input_ids=self.ids.to(self.device),
                attention_mask=self.mask.to(self.device) if self.padded else None,
                position_ids=self.positions.to(self.device),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        logits = out.logits[:, -1]
        noise = gumbel(logits.shape[-1], luck) if sampling.temperature > 0 else None
        chosen = choose(logits, sampling, noise).tolist()
        found = [(row, token, logits[i]) for i, (row, token) in enumerate(zip(self.rows, chosen, strict=True))]
        self._prepare(chosen)
        return found

    def _prepare(self, chosen: list[int]) -> None:
        """What the next step reads: the tokens just chosen, of the rows that go on."""
        full = (self.positions[:, -1] + 1 >= self.limit).tolist()
        kept = [i for i, token in enumerate(chosen) if token not in self.lines[i].ends and not full[i]]
        if len(kept) < len(chosen):
            self.rows = [self.rows[i] for i in kept]
            if not kept:
                return
            self.lines = [self.lines[i] for i in kept]
            self.mask, self.positions = self.mask[kept], self.positions[kept]
            self.cache.batch_select_indices(torch.tensor(kept, device=self.device))
            self._mix()
        self.ids = torch.tensor([[chosen[i]] for i in kept])
        self.positions = self.positions[:, -1:] + 1
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(kept), 1))], -1)
