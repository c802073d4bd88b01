"""Frozen weights held in bfloat16 inside a model that otherwise computes in float32.

A linear layer casts its float32 input to bfloat16, multiplies it by the stored weight, and returns float32: that halves
the memory of the weights and what is read of them for every token, and is several times faster on a CPU with a bfloat16
product. Everything else (norms, attention, activation functions, biases) stays in float32: a CPU has no fast bfloat16
for it. No weight is cast anew in a step, which is what makes autocast slow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from inference.packed_linear import float32_product

WIDE, SLICE = 8192, 4096  # a layer wider than WIDE is the head: its logits are compared, so they aren't rounded


class Bf16Linear(nn.Linear):
    """A linear layer whose weight is frozen and bfloat16; input, bias and output have another type (float32)."""

    def forward(self, input: Tensor) -> Tensor:
        """``input @ weight.T + bias``, in the type of ``input``."""
        return _with_bias(multiply(input, self.weight), self.bias)


class Bf16Conv1D(Conv1D):
    """The same for GPT-2's layers, whose weight is ``[inputs, outputs]``."""

    def forward(self, x: Tensor) -> Tensor:
        """``x @ weight + bias``, in the type of ``x``."""
        return _with_bias(multiply(x, self.weight.t()), self.bias)


#: The kind of embeddings that is looked up as it is.
PLAIN = nn.Embedding
#: The kinds of layers that hold their weight so.
HELD = (Bf16Linear, Bf16Conv1D)


def multiply(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T`` in the type of ``x`` for a frozen bfloat16 ``weight [outputs, inputs]``.

    Logits that no gradient is needed of are computed in float32: bfloat16 has steps of .125 at 16 to 32.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return _Product.apply(x, weight)
    if len(weight) > WIDE:
        return torch.cat([float32_product(x, part.to(x.dtype)) for part in weight.split(SLICE)], -1)
    return F.linear(x.to(weight.dtype), weight).to(x.dtype)


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight.detach()
        return F.linear(x.to(weight.dtype), ctx.weight).to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return (dy.to(ctx.weight.dtype) @ ctx.weight).to(dy.dtype), None


def _with_bias(out: Tensor, bias: Tensor | None) -> Tensor:
    return out if bias is None else out + bias


def hold_in_bf16(model: Any) -> Any:
    """Hold the weights of all linear layers and embeddings of ``model`` in bfloat16, frozen, the rest in float32.

    ``model`` is changed in place and returned. Weights that are tied stay so. An embedding that computes with its
    weights, as Gemma's, which scales them, stays in float32, and so does a head that is tied to it.
    """
    kinds = {nn.Linear: Bf16Linear, Conv1D: Bf16Conv1D}
    computed = {each.weight for each in model.modules() if isinstance(each, nn.Embedding) and type(each) is not PLAIN}
    held: set[Tensor] = set()
    for module in model.modules():
        if getattr(module, "weight", None) in computed:
            continue
        if type(module) in kinds:
            module.__class__ = kinds[type(module)]
        elif isinstance(module, nn.Embedding):
            module.register_forward_hook(_as_float32)
        else:
            continue
        held.add(module.weight)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(torch.bfloat16 if tensor in held else torch.float32)
    return model.requires_grad_(False)


def _as_float32(module: nn.Module, args: Any, out: Tensor) -> Tensor:
    return out.float()


def holds_bf16(model: nn.Module) -> bool:
    """Whether ``model`` has layers that multiply in bfloat16 by themselves."""
    return any(isinstance(module, HELD) for module in model.modules())


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Context in which held weights are multiplied in float32, by copies: as a model does that is loaded so."""
    changed: list[Any] = [module for module in model.modules() if isinstance(module, HELD)]
    try:
        for module in changed:
            weight = module.weight.detach().float()
            module.forward = partial(_plain, weight.t() if isinstance(module, Conv1D) else weight, module.bias)
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _plain(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    return F.linear(x, weight, bias)
