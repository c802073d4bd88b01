"""Losses of single tokens: each position of a sequence has a target, and a weight or an advantage of its own.

The formulas are those of Tinker's API (tinker-docs.thinkingmachines.ai/losses). All are sums over tokens, not means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from data.errors import UserError
from train.encoding import IGNORE, Example
from train.losses import target_log_probs
from train.packing import pack


@dataclass(frozen=True)
class Datum:
    """One sequence: ``tokens [n]``, the ``targets [n]`` that are predicted there, and ``inputs`` of the loss.

    ``inputs``: by name, ``[n]`` of float32 each. A target need not be the token that follows.
    """

    tokens: np.ndarray
    targets: np.ndarray
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def sequences(self) -> tuple[Example, ...]:
        """The sequence as an example, of which every position but the first is trained."""
        ids = np.concatenate([self.tokens, self.targets[-1:]]).astype(np.int32)
        return (Example(ids, np.concatenate([[IGNORE], self.targets]).astype(np.int32)),)


#: The loss of each token ``[n]`` of log-probabilities ``[n]``, of inputs by name ``[n]``, and of settings by name.
Formula = Callable[[Tensor, Mapping[str, Tensor], Mapping[str, float]], Tensor]


@dataclass(frozen=True)
class TokenLoss:
    """A loss of tokens. ``needs``: its inputs; ``defaults``: of inputs that may be absent; ``settings``: defaults."""

    formula: Formula
    needs: tuple[str, ...]
    defaults: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)

    def complete(self, given: Mapping[str, float]) -> dict[str, float]:
        """The settings ``given``, and defaults for the others.

        Raises:
            UserError: the loss has no such setting.
        """
        unknown = sorted(set(given) - set(self.settings))
        if unknown:
            has = f"it has {', '.join(self.settings)}" if self.settings else "it has none"
            raise UserError(f"loss_fn_config: this loss has no setting {', '.join(unknown)}; {has}")
        return {**self.settings, **given}

    def check(self, datum: Datum) -> None:
        """Check that ``datum`` has the inputs of this loss, one value a token each.

        Raises:
            UserError: an input is missing, unknown, of another length, or not finite.
        """
        missing = [name for name in self.needs if name not in datum.inputs]
        unknown = sorted(set(datum.inputs) - {*self.needs, *self.defaults})
        if missing or unknown:
            problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}, which is not used"
            raise UserError(f"loss_fn_inputs {problem}; this loss takes {', '.join((*self.needs, *self.defaults))}")
        for name, values in datum.inputs.items():
            if values.shape != datum.targets.shape:
                raise UserError(f"loss_fn_inputs: {name} has {values.size} values for {len(datum.targets)} targets")
            if not np.isfinite(values).all():
                raise UserError(f"loss_fn_inputs: {name} holds a value that is not a finite number")


def _cross_entropy(log_probs: Tensor, inputs: Mapping[str, Tensor], settings: Mapping[str, float]) -> Tensor:
    return -log_probs * inputs["weights"]


def _ratio(log_probs: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Probability of each token under the model that is trained, divided by that under the one that sampled it."""
    return torch.exp(log_probs - inputs["logprobs"])


def _importance_sampling(log_probs: Tensor, inputs: Mapping[str, Tensor], settings: Mapping[str, float]) -> Tensor:
    return -_ratio(log_probs, inputs) * inputs["advantages"]


def _ppo(log_probs: Tensor, inputs: Mapping[str, Tensor], settings: Mapping[str, float]) -> Tensor:
    ratio, advantages = _ratio(log_probs, inputs), inputs["advantages"]
    return -torch.minimum(ratio * advantages, _clipped(ratio, settings) * advantages)


def _cispo(log_probs: Tensor, inputs: Mapping[str, Tensor], settings: Mapping[str, float]) -> Tensor:
    return -_clipped(_ratio(log_probs, inputs), settings).detach() * log_probs * inputs["advantages"]


def _clipped(ratio: Tensor, settings: Mapping[str, float]) -> Tensor:
    return ratio.clamp(settings["clip_low_threshold"], settings["clip_high_threshold"])


_SAMPLED = ("logprobs", "advantages")
_CLIP = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
#: Every loss of tokens by its name; a new one is one entry.
TOKEN_LOSSES: dict[str, TokenLoss] = {
    "cross_entropy": TokenLoss(_cross_entropy, (), {"weights": 1.0}),
    "importance_sampling": TokenLoss(_importance_sampling, _SAMPLED),
    "ppo": TokenLoss(_ppo, _SAMPLED, settings=_CLIP),
    "cispo": TokenLoss(_cispo, _SAMPLED, settings=_CLIP),
}


def loss_named(name: str) -> TokenLoss:
    """The loss called ``name``.

    Raises:
        UserError: there is none; the message lists them.
    """
    if name not in TOKEN_LOSSES:
        raise UserError(f"loss_fn: there is no loss {name!r} here; there is {', '.join(TOKEN_LOSSES)}")
    return TOKEN_LOSSES[name]


def loss_of(
    model: nn.Module, data: Sequence[Datum], loss: TokenLoss, settings: Mapping[str, float], row_tokens: int
) -> tuple[Tensor, list[np.ndarray]]:
    """The loss summed over all tokens of ``data``, with a gradient, and log-probabilities ``[n]`` of each in nats."""
    device = next(model.parameters()).device
    batch = pack(data, row_tokens)
    order = np.argsort(batch.owners, kind="stable")  # of one sequence they are in order already
    log_probs = target_log_probs(model, batch, device)[torch.from_numpy(order).to(device)]
    inputs = {name: _joined(data, name, loss.defaults.get(name), device) for name in (*loss.needs, *loss.defaults)}
    summed = loss.formula(log_probs, inputs, settings).sum()
    ends = np.cumsum([len(each.targets) for each in data])[:-1]
    return summed, np.split(log_probs.detach().cpu().numpy(), ends)


def _joined(data: Sequence[Datum], name: str, default: float | None, device: torch.device) -> Tensor:
    """The input ``name`` of all targets, in the order of ``data``."""
    found = [each.inputs.get(name, np.full(len(each.targets), default)) for each in data]
    return torch.from_numpy(np.concatenate(found).astype(np.float32)).to(device)
