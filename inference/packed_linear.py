"""Weights laid out for the few rows that a chat multiplies them with.

Decoding multiplies every matrix by one row a pane. PyTorch's own product is made for one row or for many: with two to
eight rows it is several times slower than memory allows. oneDNN's packed layout has no such gap, so a model that
answers two panes takes little more time than one that answers one.
"""

from functools import cache
from typing import Any


def can_pack(model: Any) -> bool:
    """True where this PyTorch has the packed product and ``model`` lies on a CPU in float32."""
    import torch

    kinds = {(weight.device.type, weight.dtype) for weight in model.parameters()}
    return kinds == {("cpu", torch.float32)} and _works()


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


def pack(model: Any) -> int:
    """Let the linear layers of ``model`` use packed copies of their weights; returns the bytes that these take.

    The plain weights stay for whoever reads them. Results differ from the plain product's by rounding only.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    taken = 0
    for layer in model.modules():
        if type(layer) in (torch.nn.Linear, Conv1D):
            weight = layer.weight.detach()
            by_output = weight.t().contiguous() if isinstance(layer, Conv1D) else weight
            layer.forward = _Product(torch.ops.mkldnn._reorder_linear_weight(by_output, _ROWS), layer.bias)
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
