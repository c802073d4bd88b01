"""The formulas of preference losses: of each pair or rated answer, from log-probabilities under model and reference.

All log-probabilities are sums over the answer's trained tokens in nats, ``[n]`` of float32. The formulas are those of
TRL's trainers (``tests/train/test_preference_losses.py`` compares loss and gradient).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from train.config import PreferenceSettings


@dataclass(frozen=True)
class PairLogProbs:
    """Log-probabilities of ``n`` pairs of answers, and how many trained tokens each has, all ``[n]``.

    ``reference_chosen`` and ``reference_rejected`` are those under the reference model; zeros where a loss has none.
    """

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor

    @property
    def gains(self) -> tuple[Tensor, Tensor]:
        """Of chosen and rejected answers: log-probability less that under the reference, the reward over beta."""
        return self.chosen - self.reference_chosen, self.rejected - self.reference_rejected


Formula = Callable[[PairLogProbs, PreferenceSettings], Tensor]


def dpo(pairs: PairLogProbs, settings: PreferenceSettings) -> Tensor:
    """Direct preference optimization (Rafailov et al. 2023), with label smoothing as in conservative DPO (Mitchell)."""
    chosen, rejected = pairs.gains
    logits = settings.beta * (chosen - rejected)
    smooth = settings.label_smoothing
    return -(1 - smooth) * F.logsigmoid(logits) - smooth * F.logsigmoid(-logits)


def ipo(pairs: PairLogProbs, settings: PreferenceSettings) -> Tensor:
    """Identity preference optimization (Azar et al. 2023, Eq. 17), with means over tokens as its authors use them."""
    chosen, rejected = pairs.gains
    difference = chosen / pairs.chosen_tokens - rejected / pairs.rejected_tokens
    return (difference - 1 / (2 * settings.beta)) ** 2


def orpo(pairs: PairLogProbs, settings: PreferenceSettings) -> Tensor:
    """Odds ratio preference optimization (Hong et al. 2024, Eq. 6): cross-entropy of the chosen answers is added."""
    chosen, rejected = pairs.chosen / pairs.chosen_tokens, pairs.rejected / pairs.rejected_tokens
    log_odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -settings.beta * F.logsigmoid(log_odds)


def kto(gains: Tensor, mismatched_gains: Tensor, good: Tensor, settings: PreferenceSettings) -> Tensor:
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024, Eq. 7) of rated answers.

    Args:
        gains: log-probability of each answer less that under the reference.
        mismatched_gains: the same of another row's answer to each prompt, which estimates the divergence from the
            reference over the batch.
        good: whether an answer is a good one.
    """
    divergence = mismatched_gains.mean().detach().clamp(min=0)
    sign = torch.where(good, 1.0, -1.0)
    return 1 - torch.sigmoid(settings.beta * sign * (gains - divergence))


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) of negative numbers, without loss of precision near 0 (Maechler 2012)."""
    x = x.clamp(max=-1e-7)
    near = x > -0.6931472
    return torch.where(near, torch.log(-torch.expm1(torch.where(near, x, -1.0))),
                       torch.log1p(-torch.exp(torch.where(near, -1.0, x))))  # fmt: skip
