"""The optimizer of the training loop, and its state as plain tensors by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from train import distributed
from train.config import FitConfig


def make_optimizer(parameters: Any, lr: float, config: FitConfig) -> torch.optim.AdamW:
    """AdamW with decay on matrices only, its update in one fused kernel."""
    parameters = list(parameters)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=lr, betas=(0.9, config.beta2), fused=True)


def optimizer_tensors(optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The optimizer's state as flat ``name|key`` tensors."""
    return {f"{name}|{key}": value for name, p in weights.items() for key, value in optimizer.state.get(p, {}).items()}


def load_optimizer(optimizer: torch.optim.Optimizer, weights: Mapping[str, Tensor], tensors: dict[str, Tensor]) -> None:
    """Load the state that ``optimizer_tensors`` returned into ``optimizer``."""
    for full, value in tensors.items():
        name, _, key = full.rpartition("|")
        parameter = weights[name]
        optimizer.state[parameter][key] = (
            value.to(parameter.device) if key == "step" else distributed.placed_like(value, parameter)
        )
