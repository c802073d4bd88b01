"""Faster arithmetic for the time of a training run: the same gradients with less memory traffic.

On a CPU a backward pass is bound by memory: gradients are newly allocated every step (hundreds of megabytes, whose
pages the system clears one by one), and a tied embedding's gradient is computed twice and added. Here the gradients of
linear layers and embeddings are written straight into ``.grad``, whose memory is kept from step to step. For other code
(``zero_grad``, accumulation, clipping, all_reduce) they are ordinary ``.grad``s.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from inference.bf16_linear import HELD

SMALLEST = 2**16  # with fewer weights, calling a Python function costs more than the memory traffic that it saves
WIDE, SLICE = 8192, 1024  # a head wider than WIDE is multiplied in slices: the BLAS is slow on the whole at few rows

Kept = dict[Tensor, Tensor]


@contextmanager
def accelerated(model: nn.Module, write_gradients: bool = True) -> Iterator[None]:
    """Train ``model`` faster inside this context; afterwards nothing of it is left on its modules.

    Args:
        write_gradients: False leaves trained weights to autograd, whose hooks DDP and FSDP need.

    Gradients equal plain autograd's up to rounding. They come from ``backward`` alone (not ``torch.autograd.grad``),
    hooks on the weights concerned don't run, and a ``.grad`` that is needed after the next ``backward`` must be cloned.
    Weights on a GPU keep plain autograd, which is fast there.
    """
    kept: Kept = {}
    changed = []
    for module in model.modules():
        forward = _faster(module, kept, write_gradients)
        if forward is not None and "forward" not in vars(module):
            module.forward = forward
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            del module.forward


def _faster(module: nn.Module, kept: Kept, write_gradients: bool) -> Callable[[Tensor], Tensor] | None:
    """The function to call instead of ``module.forward``, or None where that one is fastest."""
    from transformers.activations import NewGELUActivation
    from transformers.pytorch_utils import Conv1D

    if type(module) is NewGELUActivation:  # the same formula in one kernel instead of eight
        return partial(F.gelu, approximate="tanh")
    if _is_plain_lora(module):
        return partial(_adapted, module)
    weight = getattr(module, "weight", None)
    if not isinstance(weight, nn.Parameter) or weight.device.type != "cpu" or weight.numel() < SMALLEST:
        return None
    if weight.requires_grad and not write_gradients:
        return None
    if type(module) in (nn.Linear, Conv1D) and (weight.requires_grad or len(weight) > WIDE):
        return partial(_product, module, kept)
    usual = type(module) is nn.Embedding and not (module.max_norm or module.scale_grad_by_freq or module.sparse)
    if usual and weight.requires_grad:
        return partial(_lookup, module, kept)
    return None


def _is_plain_lora(module: nn.Module) -> bool:
    """Whether ``module`` is one plain LoRA adapter, without dropout, on a layer that is held in bfloat16."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(module, LoraLayer) or not isinstance(module.base_layer, HELD) or len(module.active_adapters) != 1:
        return False
    name = module.active_adapters[0]
    plain = name in module.lora_A and not (module.use_dora.get(name) or module.lora_bias.get(name))
    return plain and isinstance(module.lora_dropout[name], nn.Identity)


def _adapted(module: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if module.disable_adapters or module.merged or args or kwargs:
        return type(module).forward(module, x, *args, **kwargs)
    name, base = module.active_adapters[0], module.base_layer
    weight = base.weight if isinstance(base, nn.Linear) else base.weight.t()
    down, up = module.lora_A[name].weight, module.lora_B[name].weight
    out = _Adapted.apply(x, weight, down, up, module.scaling[name])
    return out if base.bias is None else out + base.bias


def _product(module: Any, kept: Kept, x: Tensor) -> Tensor:
    return _Product.apply(x, module.weight, module.bias, isinstance(module, nn.Linear), kept)


def _lookup(module: Any, kept: Kept, ids: Tensor) -> Tensor:
    return _Lookup.apply(ids, module.weight, module.padding_idx, kept)


def _grad(weight: Tensor, kept: Kept) -> tuple[Tensor, bool]:
    """The memory of ``weight.grad``, and whether there is a gradient in it to add to."""
    if weight.grad is not None:
        return weight.grad, True
    if weight not in kept:
        kept[weight] = torch.empty_like(weight)
    weight.grad = kept[weight]
    return kept[weight], False


def _add_product(weight: Tensor, left: Tensor, right: Tensor, kept: Kept) -> None:
    grad, started = _grad(weight, kept)
    if grad.dtype == left.dtype:
        grad.addmm_(left, right, beta=float(started))
    elif started:
        grad.add_(left @ right)
    else:
        grad.copy_(left @ right)


def _multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear(x, weight, bias)``."""
    if bias is not None or len(weight) <= WIDE or x.dtype.itemsize < 4:
        return F.linear(x, weight, bias)
    rows = x.reshape(-1, x.shape[-1])
    out = rows.new_empty(len(rows), len(weight))
    for part, columns in zip(weight.split(SLICE), out.split(SLICE, dim=1), strict=True):
        torch.mm(rows, part.t(), out=columns)
    return out.view(*x.shape[:-1], -1)


class _Product(Function):
    """``x @ weight + bias`` for a weight ``[in, out]``, or ``[out, in]`` where ``is_linear``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, is_linear: bool, kept: Kept) -> Tensor:
        ctx.weight, ctx.is_linear, ctx.kept = weight, is_linear, kept
        if torch.is_autocast_enabled("cpu"):
            half = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(half), weight.to(half), None if bias is None else bias.to(half)
        ctx.save_for_backward(x, weight)
        return _multiply(x, weight if is_linear else weight.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows, d_rows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
        dx = (d_rows @ (weight if ctx.is_linear else weight.t())).view(x.shape) if ctx.needs_input_grad[0] else None
        if ctx.needs_input_grad[1]:
            left, right = (d_rows, rows) if ctx.is_linear else (rows, d_rows)
            _add_product(ctx.weight, left.t(), right, ctx.kept)
        return dx, None, d_rows.sum(0) if ctx.needs_input_grad[2] else None, None, None


class _Adapted(Function):
    """``x @ (weight + scale * up @ down).T`` for a frozen bfloat16 weight ``[out, in]``.

    The adapter's sides ``down [rank, in]`` and ``up [out, rank]`` are float32, as their gradients are; all products
    are bfloat16. As one function it casts ``x`` and the gradient once, and adds into products instead of beside them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        down, up = down.to(weight.dtype), (up * scale).to(weight.dtype)
        inner = rows @ down.t()
        ctx.save_for_backward(rows, inner, weight, down, up)
        ctx.scale, ctx.type = scale, x.dtype
        return torch.addmm(rows @ weight.t(), inner, up.t()).to(x.dtype).view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        rows, inner, weight, down, up = ctx.saved_tensors
        d_rows = dy.reshape(-1, dy.shape[-1]).to(weight.dtype)
        d_inner = d_rows @ up
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.addmm(d_rows @ weight, d_inner, down).to(ctx.type).view(*dy.shape[:-1], -1)
        return dx, None, (d_inner.t() @ rows).float(), (d_rows.t() @ inner).float() * ctx.scale, None


class _Lookup(Function):
    """Rows ``ids`` of ``weight``; the row ``padding_idx`` gets no gradient."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding_idx: int | None, kept: Kept) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding_idx, ctx.kept = weight, padding_idx, kept
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[None, ...]:
        (ids,) = ctx.saved_tensors
        ids, rows = ids.reshape(-1), dy.reshape(-1, dy.shape[-1])
        if ctx.padding_idx is not None:
            real = ids != ctx.padding_idx
            ids, rows = ids[real], rows[real]
        grad, started = _grad(ctx.weight, ctx.kept)
        if not started:
            grad.zero_()
        grad.index_add_(0, ids, rows.to(grad.dtype))
        return None, None, None, None
