"""Weights laid out for the few rows that a chat multiplies them with.

Decoding multiplies every matrix by one row a pane. PyTorch's own product is made for one row or for many: with two to
eight rows it is several times slower than memory allows. The packed layouts have no such gap, so a model that answers
two panes takes little more time than one that answers one: oneDNN's for float32 weights; for weights held in bfloat16
FBGEMM's, which reads 16 bits a weight and multiplies in float32, so the answers are those of the same weights in a
float32 model.
"""

from functools import cache
from typing import Any

LARGEST = 65504.0  # of float16, in which FBGEMM keeps the weights: with its longer mantissa it holds bfloat16 ones


def can_pack(model: Any) -> bool:
    """True where this PyTorch has the packed products and ``model`` lies on a CPU in float32 or bfloat16."""
    import torch

    from inference.bf16_linear import holds_bf16

    kinds = {(weight.device.type, weight.dtype) for weight in model.parameters()}
    if holds_bf16(model):
        return can_pack_bf16()
    return kinds == {("cpu", torch.float32)} and _works()


@cache
def can_pack_bf16() -> bool:
    """Whether this PyTorch has FBGEMM's product and it does what it should."""
    import torch

    x, weight = torch.ones(2, 8), torch.arange(128.0).view(16, 8)
    try:
        packed = torch.ops.quantized.linear_prepack_fp16(weight, None)
        return torch.allclose(torch.ops.quantized.linear_dynamic_fp16(x, packed), x @ weight.t())
    except (AttributeError, RuntimeError, TypeError):  # a build without FBGEMM
        return False


@cache
def _works() -> bool:
    """Whether the packed product, which is no public part of PyTorch, does here what it should."""
    import torch

    x, weight, bias = torch.ones(2, 8), torch.arange(128.0).view(16, 8), torch.ones(16)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        return torch.allclose(_Product(packed, bias)(x), torch.nn.functional.linear(x, weight, bias))
    except (AttributeError, RuntimeError, TypeError):  # another release, or a build without oneDNN
        return False


def float32_product(x: Any, weight: Any) -> Any:
    """``x @ weight.T``: on a CPU by oneDNN, which takes half of MKL's time or less on AMD processors.

    No gradient is computed.
    """
    import torch

    if x.device.type == "cpu" and x.dtype == torch.float32 and _works():
        return _Product(weight, None)(x)
    return torch.nn.functional.linear(x, weight)


def pack(model: Any) -> int:
    """Let the linear layers of ``model`` use packed copies of their weights; returns the bytes that these take.

    The plain weights stay for whoever reads them. Results differ from the plain product's by rounding only.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    from inference.bf16_linear import HELD

    taken = 0
    layer: Any
    for layer in model.modules():
        held = isinstance(layer, HELD)
        if not held and type(layer) not in (torch.nn.Linear, Conv1D):
            continue
        weight = layer.weight.detach()
        by_output = weight.t().contiguous() if isinstance(layer, Conv1D) else weight
        if not held:
            layer.forward = _Product(torch.ops.mkldnn._reorder_linear_weight(by_output, _ROWS), layer.bias)
        elif float(weight.abs().max()) <= LARGEST:
            layer.forward = _HeldProduct(by_output, layer.bias)
        taken += weight.numel() * weight.element_size()
    return taken


_ROWS = 4  # the number of rows that the layout is chosen for; it takes any


class _Product:
    """``x @ weight.T + bias`` with a packed weight."""

    def __init__(self, packed: Any, bias: Any) -> None:
        self.packed = packed
        self.bias = None if bias is None else bias.detach()

    def __call__(self, x: Any) -> Any:
        import torch

        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


class _HeldProduct:
    """``x @ weight.T + bias`` in float32 with a bfloat16 weight."""

    def __init__(self, weight: Any, bias: Any) -> None:
        import torch

        self.packed = torch.ops.quantized.linear_prepack_fp16(
            weight.float(), None if bias is None else bias.detach().float()
        )

    def __call__(self, x: Any) -> Any:
        import torch

        return torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
