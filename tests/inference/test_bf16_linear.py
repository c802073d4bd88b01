"""Weights held in bfloat16: what stays float32, what is exact, and that a model so held trains and answers."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from inference import bf16_linear
from inference.bf16_linear import HELD, hold_in_bf16, holds_bf16, in_float32
from inference.packed_linear import can_pack, pack
from train.cpu_kernels import accelerated

VOCABULARY = 96


def _llama() -> LlamaForCausalLM:
    config = LlamaConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2)
    config.num_attention_heads, config.num_key_value_heads, config.tie_word_embeddings = 4, 2, True
    return LlamaForCausalLM(config)


def _gpt2() -> GPT2LMHeadModel:
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=2))


def _gemma3() -> Gemma3ForCausalLM:
    """Its embedding multiplies what it looks up by the root of the width."""
    config = Gemma3TextConfig(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2)
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 4, 2, 8
    return Gemma3ForCausalLM(config)


@pytest.fixture(params=[_llama, _gpt2, _gemma3])
def stored(request):
    """A float32 model whose matrices are numbers of bfloat16, as those of a file that stores it."""
    torch.manual_seed(4)
    model = request.param()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 4).bfloat16())
    return model.eval()


@pytest.fixture
def held(stored):
    other = type(stored)(stored.config).eval()
    other.load_state_dict(stored.state_dict())
    return hold_in_bf16(other)


IDS = torch.tensor([[5, 9, 2, 77, 31, 8]])


def test_matrices_are_bfloat16_and_all_else_float32(stored, held):
    layers = [module for module in held.modules() if isinstance(module, HELD)]
    assert len(layers) >= 9 and {layer.weight.dtype for layer in layers} == {torch.bfloat16}
    matrices = {layer.weight for layer in layers} | {held.get_input_embeddings().weight}
    assert all(p.dtype == torch.float32 for p in held.parameters() if p not in matrices and p.ndim < 2)
    assert all(torch.equal(a, b) for a, b in zip(stored.buffers(), held.buffers(), strict=True))
    assert not any(p.requires_grad for p in held.parameters()) and holds_bf16(held) and not holds_bf16(stored)


def test_tied_weights_stay_tied(held):
    assert held.get_output_embeddings().weight is held.get_input_embeddings().weight


@torch.no_grad()
def test_outputs_are_float32_and_near_those_of_the_same_weights_in_float32(stored, held):
    wanted, found = stored(IDS).logits, held(IDS).logits
    assert found.dtype == torch.float32
    assert float((found - wanted).norm() / wanted.norm()) < 0.02


@torch.no_grad()
def test_multiplied_in_float32_they_are_the_same_to_the_bit_and_it_ends_with_the_context(stored, held):
    before = held(IDS).logits
    with in_float32(held):
        assert torch.equal(held(IDS).logits, stored(IDS).logits)
    assert torch.equal(held(IDS).logits, before)


@torch.no_grad()
def test_logits_of_a_wide_head_are_not_rounded(stored, held, monkeypatch):
    monkeypatch.setattr(bf16_linear, "WIDE", VOCABULARY - 1)
    monkeypatch.setattr(bf16_linear, "SLICE", 40)
    hidden = torch.randn(3, 32)
    torch.testing.assert_close(held.get_output_embeddings()(hidden), stored.get_output_embeddings()(hidden))


@torch.no_grad()
def test_packed_they_answer_as_the_same_weights_in_float32(stored, held):
    if not can_pack(held):
        pytest.skip("this PyTorch has no FBGEMM")
    pack(held)
    torch.testing.assert_close(held(IDS).logits, stored(IDS).logits, rtol=1e-4, atol=1e-4)
    settings = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    assert torch.equal(held.generate(IDS, **settings), stored.generate(IDS, **settings))


def _lora_gradients(model, fast):
    model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    torch.manual_seed(9)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    if fast:
        with accelerated(model):
            model(IDS, labels=IDS).loss.backward()
    else:
        model(IDS, labels=IDS).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.filterwarnings("ignore:fan_in_fan_out")
def test_adapters_on_held_weights_get_the_gradients_of_float32(stored, held, fast):
    wanted, found = _lora_gradients(stored, fast=False), _lora_gradients(held, fast)
    assert found.keys() == wanted.keys() and all("lora_" in name for name in found)
    assert {gradient.dtype for gradient in found.values()} == {torch.float32}
    one, other = (torch.cat([each[name].flatten() for name in wanted]) for each in (wanted, found))
    assert float((one - other).norm() / one.norm()) < 0.05


def test_with_the_adapter_off_the_fused_layers_compute_the_base(held):
    with torch.no_grad():
        base = held(IDS).logits
    model = get_peft_model(held, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    with torch.no_grad(), accelerated(model):
        adapted = model(IDS).logits
        with model.disable_adapter():
            assert torch.equal(model(IDS).logits, base)
    assert not torch.allclose(adapted, base)
