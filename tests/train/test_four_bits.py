"""``load=4bit``: NF4 by bitsandbytes; adapters train on it with the gradients of the weights that it stands for."""

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from data.errors import ConfigError, UserError
from inference import loading
from recipes.sft.config import TuneConfig
from train import base_model
from train.base_model import BUNDLED
from train.trainable import make_trainable

bnb = pytest.importorskip("bitsandbytes")
IDS = torch.tensor([[5, 9, 2, 77, 31, 8]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(4)
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2)
    config.num_attention_heads, config.num_key_value_heads = 4, 2
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _dequantised(quantised, folder):
    """A float32 model with the weights that the quantised ones stand for."""
    plain = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    for name, module in quantised.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weight = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            plain.get_submodule(name).weight.data = weight.float()
    return plain


def _gradients(model):
    model = make_trainable(model, TuneConfig(rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.02)
    with torch.no_grad():
        model.eval()(IDS)  # an evaluation before the first step must not change the gradients
    model.train()(IDS, labels=IDS).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_adapters_get_the_gradients_of_the_weights_that_four_bits_stand_for(folder):
    quantised, _ = base_model.load(base_model.resolve(str(folder)), "cpu", "4bit")
    assert sum(isinstance(module, bnb.nn.Linear4bit) for module in quantised.modules()) == 14
    wanted = _gradients(_dequantised(quantised, folder))
    found = _gradients(quantised)
    assert found.keys() == wanted.keys() and {g.dtype for g in found.values()} == {torch.float32}
    one, other = (torch.cat([each[name].flatten() for name in wanted]) for each in (wanted, found))
    assert float((one - other).norm() / one.norm()) < 0.05  # embeddings and head are bfloat16


def test_the_linear_layers_take_a_seventh_of_float32(folder):
    def size(held):
        model = loading.load_model(folder, "cpu", held)
        return sum(p.numel() * p.element_size() for name, p in model.named_parameters() if "_proj" in name)

    assert size("4bit") * 7 < size("fp32")


def test_all_weights_cannot_be_trained_in_four_bits():
    with pytest.raises(ConfigError, match="load=4bit holds frozen weights, so it needs method=lora"):
        TuneConfig(method="full", load="4bit")


def test_without_bitsandbytes_one_line_names_the_package(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="requirements-4bit.txt"):
        loading.load_model(folder, "cpu", "4bit")
