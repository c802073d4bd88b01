"""Training losses as a table, and what they are computed from: logits at the trained positions of a packed batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train import distributed
from train.encoding import Example, Pair, TrainingRow
from train.packing import Batch, pack


@dataclass(frozen=True)
class Loss:
    """A training loss: what it needs of a training row, and how it is computed for a batch.

    ``compute(model, batch, device)`` returns two scalar tensors: the loss summed over all units of the batch, with a
    gradient, and the number of units that count as correct. ``units(row)`` is how many units a training row has
    (tokens or pairs): sums are divided by them, over all rows of an optimizer step. ``needs``: ``rows`` (``Example``)
    or ``pairs`` (``Pair``); with ``needs_reference`` each pair must have its ``reference``. ``accuracy`` names the
    share of correct units in metrics, as in ``train/token_accuracy``.
    """

    compute: Callable[[nn.Module, Batch, torch.device], tuple[Tensor, Tensor]]
    units: Callable[[TrainingRow], int]
    needs: Literal["rows", "pairs"] = "rows"
    needs_reference: bool = False
    accuracy: str = "token_accuracy"

    def require(self, rows: Sequence[TrainingRow]) -> None:
        """Check that ``rows`` are what the loss is computed from.

        Raises:
            TypeError: they are of the other kind, or a pair has no reference log-probabilities.
        """
        wanted = Pair if self.needs == "pairs" else Example
        if not all(isinstance(row, wanted) for row in rows):
            raise TypeError(f"this loss needs {self.needs}, each a {wanted.__name__}")
        if self.needs_reference and any(isinstance(row, Pair) and row.reference is None for row in rows):
            raise TypeError("this loss needs reference log-probabilities with every pair")


def cross_entropy(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the trained tokens in nats (float32), and how many of them have the highest logit."""
    logits = trained_logits(model, batch, device).float()
    targets = torch.from_numpy(batch.targets).to(device)
    return F.cross_entropy(logits, targets, reduction="sum"), (logits.detach().argmax(-1) == targets).sum()


#: Every loss by its name; a new one is one entry.
LOSSES: dict[str, Loss] = {"cross_entropy": Loss(cross_entropy, lambda row: row.trained)}
DEFAULT_LOSS = LOSSES["cross_entropy"]


def sequence_log_probs(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Log-probability of each sequence of ``batch``, summed over its trained tokens, in nats: ``[S]`` of float32."""
    logits = trained_logits(model, batch, device).float()
    targets, owners = (torch.from_numpy(each).to(device) for each in (batch.targets, batch.owners))
    found = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
    return found.new_zeros(int(batch.owners.max()) + 1).index_add(0, owners, found)


@torch.no_grad()
def add_reference(model: nn.Module, pairs: Sequence[Pair], batch_size: int = 16, row_tokens: int = 512) -> list[Pair]:
    """``pairs`` with the log-probabilities of their answers under ``model`` as ``reference``.

    They are computed once, before training, so that no second model is in memory while one is trained.
    """
    model.eval()
    device = next(model.parameters()).device
    found: list[Pair] = []
    for start in range(0, len(pairs), batch_size):
        group = pairs[start : start + batch_size]
        sums = sequence_log_probs(model, pack(group, row_tokens), device).reshape(-1, 2).tolist()
        found += [
            replace(pair, reference=(chosen, rejected)) for pair, (chosen, rejected) in zip(group, sums, strict=True)
        ]
    return found


@torch.no_grad()
def measure(
    model: nn.Module,
    rows: Sequence[TrainingRow],
    loss: Loss = DEFAULT_LOSS,
    batch_size: int = 32,
    row_tokens: int = 512,
) -> tuple[float, float]:
    """Mean ``loss`` per unit over ``rows`` (cross-entropy: nats per trained token), and the share of correct units."""
    model.eval()
    device = next(model.parameters()).device
    total, hits = 0.0, 0
    for start in range(0, len(rows), batch_size):
        summed, correct = loss.compute(model, pack(rows[start : start + batch_size], row_tokens), device)
        total, hits = total + summed.item(), hits + int(correct)
    units = sum(map(loss.units, rows))
    return total / units, hits / units


@torch.no_grad()
def row_losses(model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512) -> np.ndarray:
    """Cross-entropy of each row in nats, summed over its trained tokens, and how many these are: ``[rows, 2]``."""
    model.eval()
    device = next(model.parameters()).device
    found: list[float] = []
    for start in range(0, len(rows), batch_size):
        batch = pack(rows[start : start + batch_size], row_tokens)
        found += (-sequence_log_probs(model, batch, device)).tolist()
    return np.array([(loss, row.trained) for loss, row in zip(found, rows, strict=True)], dtype=float).reshape(-1, 2)


def mean_loss(model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512) -> float:
    """Mean cross-entropy per trained token over ``rows``, in nats."""
    return measure(model, rows, LOSSES["cross_entropy"], batch_size, row_tokens)[0]


def head_of(model: Any) -> nn.Module:
    """The module that computes logits from hidden states, of a plain, an adapted or a distributed model."""
    return distributed.unwrap(model).get_output_embeddings()


def trained_logits(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Logits ``[N, vocabulary]`` at the trained positions of ``batch`` only: the head is almost half of a small model.

    The positions are selected right before the head, so whatever a model does to its logits afterwards still happens.
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
    """``seen`` in the model's form: eager attention adds its mask to the scores, so False is the lowest number."""
    if getattr(distributed.unwrap(model).config, "_attn_implementation", None) != "eager":
        return seen
    dtype = next(model.parameters()).dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
