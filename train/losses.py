"""Training losses as a table, and what they are computed from: logits at the trained positions of a packed batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train import distributed
from train.config import PreferenceSettings
from train.encoding import Example, Pair, Rated, TrainingRow
from train.packing import Batch, pack
from train.preference_losses import Formula, PairLogProbs, dpo, ipo, kto, orpo

P = TypeVar("P", Pair, Rated)


@dataclass(frozen=True)
class Loss:
    """A training loss: what it needs of a training row, and how it is computed for a batch.

    ``compute(model, batch, device)`` returns two tensors: the loss summed over all units of the batch, a scalar with a
    gradient, and sums over these units of what is logged beside it: the number of units that count as correct, and
    after it, where there are such, one number for each of ``measures``. ``units(row)`` is how many units a training row
    has (tokens, pairs or rated answers): sums are divided by them, over all rows of an optimizer step. ``needs``:
    ``rows`` (``Example``), ``pairs`` (``Pair``) or ``rated`` (``Rated``); with ``needs_reference`` each must have its
    ``reference``. ``accuracy`` names the share of correct units in metrics, as in ``train/token_accuracy``.
    """

    compute: Callable[[nn.Module, Batch, torch.device], tuple[Tensor, Tensor]]
    units: Callable[[TrainingRow], int]
    needs: Literal["rows", "pairs", "rated"] = "rows"
    needs_reference: bool = False
    accuracy: str = "token_accuracy"
    measures: tuple[str, ...] = ()

    def require(self, rows: Sequence[TrainingRow]) -> None:
        """Check that ``rows`` are what the loss is computed from.

        Raises:
            TypeError: they are of the other kind, or a pair has no reference log-probabilities.
        """
        wanted = {"rows": Example, "pairs": Pair, "rated": Rated}[self.needs]
        if not all(isinstance(row, wanted) for row in rows):
            raise TypeError(f"this loss needs {self.needs}, each a {wanted.__name__}")
        if self.needs_reference and any(isinstance(row, Pair | Rated) and row.reference is None for row in rows):
            raise TypeError("this loss needs reference log-probabilities with every pair")

    def named(self, means: Sequence[float]) -> dict[str, float]:
        """The means over units of what is logged beside the loss, by name."""
        return dict(zip((self.accuracy, *self.measures), means, strict=True))


def cross_entropy(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the trained tokens in nats (float32), and how many of them have the highest logit."""
    logits = trained_logits(model, batch, device).float()
    targets = torch.from_numpy(batch.targets).to(device)
    return F.cross_entropy(logits, targets, reduction="sum"), (logits.detach().argmax(-1) == targets).sum()


#: Makes a loss of the settings of preference losses.
PreferenceLoss = Callable[[PreferenceSettings], Loss]


def preference_loss(formula: Formula, needs_reference: bool = True, own_sft: float = 0.0) -> PreferenceLoss:
    """The loss of pairs that ``formula`` gives, as a function of its settings.

    Args:
        own_sft: weight of the chosen answers' cross-entropy that belongs to the loss, beside ``sft_weight``.
    """

    def with_settings(settings: PreferenceSettings) -> Loss:
        def compute(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
            pairs = _pair_log_probs(model, batch, device)
            loss = formula(pairs, settings).sum()
            weight = own_sft + settings.sft_weight
            if weight:
                loss = loss - weight * pairs.chosen.sum() / pairs.chosen_tokens.sum() * len(pairs.chosen)
            return loss, _pair_measures(pairs, settings)

        return Loss(compute, lambda row: 1, "pairs", needs_reference, "reward_accuracy", MEASURES)

    return with_settings


def rated_loss(settings: PreferenceSettings) -> Loss:
    """The loss of rated answers (KTO); the SFT term is over the good ones."""

    def compute(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
        assert batch.good is not None and batch.reference is not None
        found, counts = _summed_log_probs(model, batch, device)
        gains = found - torch.from_numpy(batch.reference).to(device)
        good = torch.from_numpy(batch.good).to(device)
        loss = kto(gains[0::2], gains[1::2], good, settings).sum()
        if settings.sft_weight and good.any():
            mean = found[0::2][good].sum() / counts[0::2][good].sum()
            loss = loss - settings.sft_weight * mean * len(good)
        rewards = settings.beta * gains[0::2].detach()
        correct = (rewards > 0) == good
        return loss, torch.stack([correct.sum(), torch.where(good, rewards, -rewards).sum()])

    return Loss(compute, lambda row: 1, "rated", True, "reward_accuracy", MEASURES[:1])


#: What is logged of pairs beside loss and accuracy: the reward margin, and log-probabilities of both answers in nats.
MEASURES = ("reward_margin", "log_probs_chosen", "log_probs_rejected")
#: The losses of preferences by name, as functions of their settings; a new one is one entry.
PREFERENCE_LOSSES: dict[str, PreferenceLoss] = {
    "dpo": preference_loss(dpo),
    "ipo": preference_loss(ipo),
    "orpo": preference_loss(orpo, needs_reference=False, own_sft=1.0),
    "kto": rated_loss,
}
#: Every loss by its name, those of preferences with default settings; a new one is one entry.
LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(cross_entropy, lambda row: row.trained),
    **{name: make(PreferenceSettings()) for name, make in PREFERENCE_LOSSES.items()},
}
DEFAULT_LOSS = LOSSES["cross_entropy"]


def _pair_log_probs(model: nn.Module, batch: Batch, device: torch.device) -> PairLogProbs:
    found, counts = _summed_log_probs(model, batch, device)
    reference = torch.zeros_like(found) if batch.reference is None else torch.from_numpy(batch.reference).to(device)
    return PairLogProbs(
        found[0::2], found[1::2], reference[0::2], reference[1::2], counts[0::2].clamp(min=1), counts[1::2].clamp(min=1)
    )


def _pair_measures(pairs: PairLogProbs, settings: PreferenceSettings) -> Tensor:
    """``[4]``: pairs whose chosen answer has the higher reward, and sums of the ``MEASURES``."""
    chosen, rejected = (settings.beta * each.detach() for each in pairs.gains)
    margin = chosen - rejected
    return torch.stack([(margin > 0).sum(), margin.sum(), pairs.chosen.detach().sum(), pairs.rejected.detach().sum()])


def sequence_log_probs(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Log-probability of each sequence of ``batch``, summed over its trained tokens, in nats: ``[S]`` of float32."""
    return _summed_log_probs(model, batch, device)[0]


def _summed_log_probs(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """The same, and how many tokens are trained of each sequence: ``[S]`` twice."""
    found, owners = target_log_probs(model, batch, device), torch.from_numpy(batch.owners).to(device)
    sums = found.new_zeros(int(batch.owners.max()) + 1)
    return sums.index_add(0, owners, found), sums.index_add(0, owners, torch.ones_like(found))


def target_log_probs(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Log-probability of each target of ``batch``, in nats: ``[N]`` of float32."""
    logits = trained_logits(model, batch, device).float()
    return -F.cross_entropy(logits, torch.from_numpy(batch.targets).to(device), reduction="none")


@torch.no_grad()
def log_probs(model: nn.Module, rows: Sequence[P], batch_size: int = 16, row_tokens: int = 512) -> np.ndarray:
    """Log-probabilities of the two sequences of each row under ``model``, each summed over its trained tokens, in nats:
    ``[rows, 2]``.
    """
    model.eval()
    device = next(model.parameters()).device
    found: list[Tensor] = []
    for start in range(0, len(rows), batch_size):
        batch = pack(rows[start : start + batch_size], row_tokens)
        found.append(sequence_log_probs(model, batch, device).reshape(-1, 2).cpu())
    return torch.cat(found).double().numpy() if found else np.zeros((0, 2))


def with_reference(rows: Sequence[Any], known: np.ndarray) -> list[Any]:
    """``rows`` with the log-probabilities ``known`` (``[rows, 2]`` in nats) as those under their reference model."""
    return [replace(row, reference=(one, other)) for row, (one, other) in zip(rows, known.tolist(), strict=True)]


def measure(
    model: nn.Module,
    rows: Sequence[TrainingRow],
    loss: Loss = DEFAULT_LOSS,
    batch_size: int = 32,
    row_tokens: int = 512,
) -> tuple[float, float]:
    """Mean ``loss`` per unit over ``rows`` (cross-entropy: nats per trained token), and the share of correct units."""
    mean, beside = measure_all(model, rows, loss, batch_size, row_tokens)
    return mean, beside[loss.accuracy]


@torch.no_grad()
def measure_all(
    model: nn.Module, rows: Sequence[TrainingRow], loss: Loss, batch_size: int = 32, row_tokens: int = 512
) -> tuple[float, dict[str, float]]:
    """Mean ``loss`` per unit over ``rows``, and the means of what is logged beside it, by name."""
    model.eval()
    device = next(model.parameters()).device
    total, beside = 0.0, np.zeros(1 + len(loss.measures))
    for start in range(0, len(rows), batch_size):
        summed, found = loss.compute(model, pack(rows[start : start + batch_size], row_tokens), device)
        total, beside = total + summed.item(), beside + found.cpu().double().numpy()
    units = sum(map(loss.units, rows))
    return total / units, loss.named((beside / units).tolist())


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
