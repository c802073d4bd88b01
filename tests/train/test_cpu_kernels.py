"""``train.cpu_kernels``: the same gradients as plain autograd, and nothing left behind."""

import contextlib

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from train import cpu_kernels
from train.cpu_kernels import accelerated
from train.encoding import IGNORE, Example
from train.losses import trained_logits
from train.packing import Batch, pack

VOCABULARY = 211


@pytest.fixture(autouse=True)
def _small_weights_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_kernels, "SMALLEST", 0)
    monkeypatch.setattr(cpu_kernels, "WIDE", VOCABULARY - 1)
    monkeypatch.setattr(cpu_kernels, "SLICE", 50)


def _gpt2() -> nn.Module:
    config = GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    config.resid_pdrop = config.embd_pdrop = config.attn_pdrop = 0.0
    return GPT2LMHeadModel(config)


def _llama() -> nn.Module:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=False,
            pad_token_id=0,
        )
    )


def _lora() -> nn.Module:
    targets = ["c_attn", "c_proj", "c_fc"]
    config = LoraConfig(r=4, target_modules=targets, fan_in_fan_out=True, init_lora_weights=False)
    return get_peft_model(_gpt2(), config)


MODELS = {"tied GPT-2": _gpt2, "untied Llama": _llama, "LoRA": _lora}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    """In double precision, so that rounding can't hide a small mistake."""
    torch.manual_seed(3)
    return MODELS[request.param]().double().train()


def _batch(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    examples = []
    for size in (9, 12, 7):
        ids = rng.integers(0, VOCABULARY, size).astype(np.int32)  # 0, the Llama's padding, may be among them
        ids[1] = 0
        examples.append(Example(ids, np.where(np.arange(size) < 4, IGNORE, ids).astype(np.int32)))
    return pack(examples, 64)


def _backward(model: nn.Module, batch: Batch) -> Tensor:
    logits = trained_logits(model, batch, torch.device("cpu"))
    loss = F.cross_entropy(logits, torch.from_numpy(batch.targets))
    loss.backward()
    return loss.detach()


def _gradients(model: nn.Module, batches: list[Batch], fast: bool) -> dict[str, Tensor]:
    model.zero_grad()
    with accelerated(model) if fast else contextlib.nullcontext():
        for batch in batches:
            _backward(model, batch)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def _assert_same(got: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert got.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-6, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_equal_plain_autograds(model):
    _assert_same(_gradients(model, [_batch()], fast=True), _gradients(model, [_batch()], fast=False))


def test_two_backward_passes_add_up(model):
    batches = [_batch(1), _batch(2)]
    _assert_same(_gradients(model, batches, fast=True), _gradients(model, batches, fast=False))


def test_gradients_of_a_step_do_not_remain_in_the_next(model):
    wanted = _gradients(model, [_batch(2)], fast=False)
    model.zero_grad()
    with accelerated(model):
        _backward(model, _batch(1))
        for p in model.parameters():
            if p.grad is not None:
                p.grad.fill_(torch.nan)
        model.zero_grad()
        _backward(model, _batch(2))
    _assert_same({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, wanted)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_training_follows_plain_autograd(model, set_to_none):
    start = {name: p.detach().clone() for name, p in model.named_parameters()}

    def train(fast: bool) -> list[float]:
        model.load_state_dict(start, strict=False)
        optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2, fused=True)
        optimizer.zero_grad()
        losses = []
        with accelerated(model) if fast else contextlib.nullcontext():
            for step in range(6):
                losses.append(float(_backward(model, _batch(step % 2))))
                optimizer.step()
                optimizer.zero_grad(set_to_none=set_to_none)
        return losses

    plain = train(fast=False)
    assert plain[-1] < plain[0]
    assert train(fast=True) == pytest.approx(plain, rel=1e-8)


def test_two_runs_give_equal_bits(model):
    model.float()
    first, second = (_gradients(model, [_batch(1), _batch(2)], fast=True) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_half_precision_gradients_are_those_of_plain_autocast():
    torch.manual_seed(3)
    model = _gpt2()
    with torch.autocast("cpu", torch.bfloat16):
        got = _gradients(model, [_batch(1), _batch(2)], fast=True)
        wanted = _gradients(model, [_batch(1), _batch(2)], fast=False)
    for name, gradient in wanted.items():
        assert got[name].dtype == torch.float32
        assert float((got[name] - gradient).norm() / gradient.norm()) < 0.02, name


def test_frozen_weights_get_no_gradient():
    model = _lora()
    with accelerated(model):
        _backward(model, _batch())
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        name for name, _ in model.named_parameters() if "lora_" in name
    }


def test_nothing_is_left_on_the_model(model, tmp_path):
    model.float().eval()
    prompt = torch.tensor([[5, 6, 7]])
    before = model.generate(input_ids=prompt, max_new_tokens=5, do_sample=False, pad_token_id=0)
    variables = [set(vars(module)) for module in model.modules()]
    with pytest.raises(KeyError), accelerated(model):
        _backward(model, _batch())
        raise KeyError
    assert [set(vars(module)) for module in model.modules()] == variables
    assert torch.equal(model.generate(input_ids=prompt, max_new_tokens=5, do_sample=False, pad_token_id=0), before)
    model.save_pretrained(tmp_path)
    assert list(tmp_path.glob("*.safetensors"))


def test_a_model_that_is_training_can_be_saved_and_used(model, tmp_path):
    model.float().eval()
    prompt = torch.tensor([[5, 6, 7]])
    before = model.generate(input_ids=prompt, max_new_tokens=5, do_sample=False, pad_token_id=0)
    with accelerated(model):
        assert torch.equal(model.generate(input_ids=prompt, max_new_tokens=5, do_sample=False, pad_token_id=0), before)
        model.save_pretrained(tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_gradients_are_plain_autograds():
    device = torch.device("cuda")
    model = _gpt2().double().to(device)

    def gradients(fast: bool) -> dict[str, Tensor]:
        model.zero_grad()
        with accelerated(model) if fast else contextlib.nullcontext():
            logits = trained_logits(model, _batch(), device)
            F.cross_entropy(logits, torch.from_numpy(_batch().targets).to(device)).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    _assert_same(gradients(fast=True), gradients(fast=False))
