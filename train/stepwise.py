"""A LoRA adapter that is trained by single calls: gradients are added up, then an optimizer step uses them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from data.errors import UserError
from inference.bf16_linear import holds_bf16
from train import trainable
from train.base_model import context_length
from train.config import FinetuneConfig
from train.cpu_kernels import accelerated
from train.finetune import LoadedBase
from train.loop import Diverged, choose_autocast
from train.optimizer import load_optimizer, make_optimizer, optimizer_tensors
from train.packing import PASS_TOKENS
from train.token_losses import Datum, loss_named, loss_of

OPTIMIZER = "optimizer.pt"


@dataclass(frozen=True)
class AdamSettings:
    """Settings of one step of AdamW; ``clip``: largest L2 norm of the gradient, 0 for no limit."""

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-12
    weight_decay: float = 0.0
    clip: float = 0.0


class StepwiseTrainer:
    """The adapter of ``model`` and its AdamW optimizer; ``steps`` counts the optimizer's."""

    def __init__(self, base: LoadedBase, model: Any, config: FinetuneConfig) -> None:
        self.base, self.model, self.config, self.steps = base, model, config, 0
        self.weights = trainable.trained_weights(model)
        self._optimizer = make_optimizer(self.weights.values(), 0.0, config)
        device = next(model.parameters()).device
        self._autocast = choose_autocast(config.precision, device, holds_bf16(model))
        self._vocabulary = model.get_input_embeddings().weight.shape[0]

    def forward_backward(
        self, data: Sequence[Datum], loss_fn: str, settings: Mapping[str, float], backward: bool = True
    ) -> tuple[float, list[np.ndarray]]:
        """The loss ``loss_fn`` summed over ``data``, and each datum's log-probabilities ``[n]`` in nats.

        With ``backward`` the loss's gradient is added to that of earlier calls since the last step.

        Raises:
            UserError: there is no such loss, or a datum is not what it needs; no gradient is added then.
            Diverged: the loss is not a number; all gradients since the last step are lost.
        """
        loss, total, found = loss_named(loss_fn), 0.0, list[np.ndarray]()
        settings = loss.complete(settings)
        for number, datum in enumerate(data):
            try:
                self._check(datum)
                loss.check(datum)
            except UserError as error:
                raise UserError(f"datum {number}: {error}") from error
        self.model.train()
        with accelerated(self.model), torch.set_grad_enabled(backward):
            for group in _passes(data):
                with self._autocast():
                    summed, log_probs = loss_of(self.model, group, loss, settings, self.config.row_tokens)
                if not math.isfinite(summed.item()):
                    self._optimizer.zero_grad()
                    raise Diverged(f"the loss is {summed.item()}, not a number: lower the learning rate")
                if backward:
                    summed.backward()
                total, found = total + summed.item(), found + log_probs
        return total, found

    def _check(self, datum: Datum) -> None:
        positions, ids = context_length(self.model), np.concatenate([datum.tokens, datum.targets])
        if not len(datum.tokens):
            raise UserError("model_input is empty")
        if len(datum.targets) != len(datum.tokens):
            raise UserError(f"target_tokens has {len(datum.targets)} values for {len(datum.tokens)} tokens of input")
        if len(datum.tokens) > positions:
            raise UserError(f"model_input has {len(datum.tokens)} tokens, and this model has {positions} positions")
        if ids.min() < 0 or ids.max() >= self._vocabulary:
            wrong = int(ids.min() if ids.min() < 0 else ids.max())
            raise UserError(f"there is no token {wrong}: this model has 0 to {self._vocabulary - 1}")

    def optim_step(self, adam: AdamSettings) -> float:
        """Change the weights by the gradients since the last step; returns the gradient's L2 norm.

        Raises:
            UserError: there are no gradients.
            Diverged: the norm is not a number; the weights stay as they are, and the gradients are lost.
        """
        if all(each.grad is None for each in self.weights.values()):
            raise UserError("optim_step: there is no gradient since the last step; call forward_backward before it")
        norm = float(nn.utils.clip_grad_norm_(self.weights.values(), adam.clip or math.inf))
        if not math.isfinite(norm):
            self._optimizer.zero_grad()
            raise Diverged(f"the gradient's norm is {norm}: the step was not done; lower the learning rate")
        for group in self._optimizer.param_groups:
            group |= {"lr": adam.lr, "betas": (adam.beta1, adam.beta2), "eps": adam.eps}
            group["weight_decay"] = adam.weight_decay
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.steps += 1
        return norm

    def save(self, folder: Path, with_optimizer: bool = False) -> None:
        """Write the adapter to ``folder`` in PEFT's layout, and the optimizer's state beside it."""
        trainable.save(self.model, self.base.tokenizer, self.base.source.pretrained_name, folder)
        if with_optimizer:
            state = {"steps": torch.tensor(self.steps), **optimizer_tensors(self._optimizer, self.weights)}
            torch.save(state, folder / OPTIMIZER)

    def load_optimizer(self, folder: Path) -> None:
        """Load the state of the optimizer from the ``folder`` that ``save`` wrote.

        Raises:
            UserError: it holds none.
        """
        if not (folder / OPTIMIZER).is_file():
            raise UserError("the optimizer's state was not saved with these weights; load the weights alone")
        state = torch.load(folder / OPTIMIZER, weights_only=True)
        self.steps = int(state.pop("steps"))
        load_optimizer(self._optimizer, self.weights, state)


def new_adapter(base: LoadedBase, config: FinetuneConfig) -> StepwiseTrainer:
    """A fresh adapter on the weights of ``base``, which several adapters share."""
    model = trainable.make_trainable(trainable.sharing_weights(base.model), config)
    return StepwiseTrainer(base, model, config)


def saved_adapter(base: LoadedBase, config: FinetuneConfig, folder: Path) -> StepwiseTrainer:
    """The adapter in ``folder``, to be trained further on the weights of ``base``."""
    model = trainable.load_adapter(trainable.sharing_weights(base.model), folder)
    return StepwiseTrainer(base, model, replace(config, **trainable.adapter_settings(model)))


def _passes(data: Sequence[Datum]) -> Iterator[list[Datum]]:
    """``data`` in its order, in groups of at most ``PASS_TOKENS`` tokens or of one datum."""
    group: list[Datum] = []
    for datum in data:
        if group and sum(len(each.tokens) for each in (*group, datum)) > PASS_TOKENS:
            yield group
            group = []
        group.append(datum)
    if group:
        yield group
