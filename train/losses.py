"""The loss over the trained tokens of a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.encoding import Example
from train.packing import Batch, pack


def loss_and_hits(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Over the trained tokens of ``batch``: summed cross-entropy in nats (float32), and how many are put first."""
    logits = trained_logits(model, batch, device).float()
    targets = torch.from_numpy(batch.targets).to(device)
    return F.cross_entropy(logits, targets, reduction="sum"), (logits.detach().argmax(-1) == targets).sum()


@torch.no_grad()
def measure(
    model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512
) -> tuple[float, float]:
    """Over the trained tokens of ``rows``: mean loss in nats, and the share that the model puts first."""
    model.eval()
    device = next(model.parameters()).device
    total, hits, tokens = 0.0, 0, 0
    for start in range(0, len(rows), batch_size):
        batch = pack(rows[start : start + batch_size], row_tokens)
        loss, right = loss_and_hits(model, batch, device)
        total, hits, tokens = total + loss.item(), hits + int(right), tokens + len(batch.targets)
    return total / tokens, hits / tokens


def mean_loss(model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512) -> float:
    """Mean loss per trained token over ``rows``, in nats."""
    return measure(model, rows, batch_size, row_tokens)[0]


def head_of(model: Any) -> nn.Module:
    """The module that turns hidden states into logits, of a bare or an adapted model."""
    return model.get_output_embeddings()


def trained_logits(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Logits ``[N, vocabulary]`` at the trained positions of ``batch`` only: the head is almost half of a small model.

    The positions are picked right before the head, so whatever a model does to its logits afterwards still happens.
    """
    picked = torch.from_numpy(batch.sources).to(device)

    def pick(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        return (hidden.reshape(-1, hidden.shape[-1])[picked],)

    mask = None if batch.mask is None else _attention_mask(model, torch.from_numpy(batch.mask).to(device))
    hook = head_of(model).register_forward_pre_hook(pick)
    try:
        out = model(
            input_ids=torch.from_numpy(batch.input_ids).to(device),
            position_ids=torch.from_numpy(batch.position_ids).to(device),
            attention_mask=mask,
            use_cache=False,
        )
    finally:
        hook.remove()
    return out.logits


def _attention_mask(model: nn.Module, seen: Tensor) -> Tensor:
    """``seen`` as the model takes it: eager attention adds its mask to the scores, so False must become -infinity."""
    if getattr(model.config, "_attn_implementation", None) != "eager":
        return seen
    dtype = next(model.parameters()).dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
