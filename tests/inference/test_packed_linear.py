"""Packed weights give the same products, on the machines that have them."""

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from inference import packed_linear
from inference.packed_linear import can_pack, pack


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = torch.nn.Linear(24, 40), Conv1D(16, 40), torch.nn.Linear(16, 8, bias=False)
        self.odd = torch.nn.LayerNorm(8)
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.odd(self.three(self.two(self.one(x))))


@pytest.fixture
def net() -> Net:
    torch.manual_seed(1)
    return Net().eval()


@pytest.fixture
def _packs(net):
    if not can_pack(net):
        pytest.skip("this PyTorch has no packed product")


@pytest.mark.usefixtures("_packs")
@pytest.mark.parametrize("shape", [(24,), (1, 24), (3, 24), (2, 1, 24), (4, 70, 24)])
def test_packed_layers_give_the_same_but_for_rounding(net, shape):
    x = torch.randn(shape)
    with torch.inference_mode():
        expected = net(x)
        pack(net)
        torch.testing.assert_close(net(x), expected, atol=1e-4, rtol=1e-5)
        spread = torch.randn(*shape[:-1], 48)[..., ::2]  # not contiguous
        torch.testing.assert_close(net.one(spread), torch.nn.functional.linear(spread, net.one.weight, net.one.bias))


@pytest.mark.usefixtures("_packs")
def test_packing_says_what_it_takes_and_leaves_the_plain_weights(net):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    assert pack(net) == 4 * (24 * 40 + 40 * 16 + 16 * 8)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.usefixtures("_packs")
def test_hooks_see_packed_layers_too(net):
    pack(net)
    net.one.register_forward_hook(lambda module, args, out: out * 0)
    with torch.inference_mode():
        assert torch.equal(net.one(torch.randn(2, 24)), torch.zeros(2, 40))


@pytest.mark.parametrize("change", [lambda net: net.half(), lambda net: net.two.bfloat16(), lambda net: net.to("meta")])
def test_only_float32_on_a_cpu_is_packed(net, change):
    change(net)
    assert not can_pack(net)


def test_a_pytorch_without_the_product_packs_nothing(net, monkeypatch):
    class Without:
        mkldnn = object()

    packed_linear._works.cache_clear()
    monkeypatch.setattr(torch, "ops", Without)
    assert not can_pack(net)
    packed_linear._works.cache_clear()
