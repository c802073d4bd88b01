"""The right layers are trained, and what is saved loads with nothing but the public libraries."""

import json

import pytest
import torch

from data.errors import ConfigError
from recipes.sft.config import TuneConfig
from train import trainable

LORA = TuneConfig(rank=4)
GPT2_LAYERS = ["c_attn", "c_fc", "c_proj"]
LLAMA_LAYERS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
IDS = torch.tensor([[5, 9, 2, 40, 7]])


@pytest.fixture(params=["gpt2", "llama"])
def make(request, gpt2, llama):
    """Makes the same tiny model each time it is called."""
    return {"gpt2": gpt2, "llama": llama}[request.param]


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def shake(model):
    """Give every trainable weight a random value, so that an adapter does something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.normal_(std=0.3)
    return model


def adapted(model):
    return {name.split(".lora_A")[0] for name, _ in model.named_parameters() if "lora_A" in name}


def test_every_linear_layer_but_the_head_is_adapted(make):
    model = trainable.make_trainable(make(), LORA)
    names = {name.rpartition(".")[2] for name in adapted(model)}
    assert sorted(names) in (GPT2_LAYERS, LLAMA_LAYERS)
    layers = 4 if "c_attn" in names else 7
    assert len(adapted(model)) == 2 * layers and not any("head" in name for name in adapted(model))
    assert {n for n, p in model.named_parameters() if p.requires_grad} == {
        n for n, _ in model.named_parameters() if "lora_" in n
    }


def test_conv1d_weights_are_adapted_the_right_way_round(gpt2, llama):
    assert trainable.make_trainable(gpt2(), LORA).peft_config["default"].fan_in_fan_out is True
    assert trainable.make_trainable(llama(), LORA).peft_config["default"].fan_in_fan_out is False


def test_a_fresh_adapter_changes_nothing_and_merging_a_used_one_keeps_the_logits(make):
    model = trainable.make_trainable(make(), LORA)
    torch.testing.assert_close(logits(model), logits(make()), rtol=0, atol=0)
    used = logits(shake(model))
    assert (used - logits(make())).abs().max() > 0.1
    torch.testing.assert_close(logits(model.merge_and_unload()), used, rtol=1e-3, atol=1e-3)


def test_only_the_layers_asked_for_are_adapted(gpt2):
    model = trainable.make_trainable(gpt2(), TuneConfig(rank=4, targets=" c_fc, c_attn "))
    assert {name.rpartition(".")[2] for name in adapted(model)} == {"c_fc", "c_attn"}


@pytest.mark.parametrize("targets", ["q_proj", "c_attn,q_proj", "c_attn, lm_head", "wte", "attn"])
def test_an_unknown_layer_is_an_error_that_lists_what_there_is_even_where_others_match(gpt2, targets):
    unknown = targets.split(",")[-1].strip()
    for refuse in (trainable.check_targets, trainable.make_trainable):
        with pytest.raises(ConfigError, match=rf"^targets: .*no layer {unknown}; it has c_attn, c_fc, c_proj$"):
            refuse(gpt2(), TuneConfig(targets=targets))


def test_targets_that_name_nothing_are_an_error(gpt2):
    with pytest.raises(ConfigError, match="^targets: .*it has c_attn"):
        trainable.check_targets(gpt2(), TuneConfig(targets=" , "))


def test_good_targets_and_full_training_pass_the_check(make):
    trainable.check_targets(make(), LORA)
    trainable.check_targets(make(), TuneConfig(method="full"))


def test_full_training_trains_every_weight_of_the_same_model(make):
    model = make().requires_grad_(False)
    assert trainable.make_trainable(model, TuneConfig(method="full")) is model
    assert all(p.requires_grad for p in model.parameters())


def test_adapters_depend_on_the_seed_and_on_nothing_before_it(gpt2):
    def drawn(seed, before):
        base = gpt2()
        torch.manual_seed(before)
        return trainable.make_trainable(base, TuneConfig(rank=4, seed=seed)).state_dict()

    one, same, other = drawn(7, 1), drawn(7, 2), drawn(8, 1)
    name = next(name for name in one if "lora_A" in name)
    assert all(torch.equal(one[key], same[key]) for key in one) and not torch.equal(one[name], other[name])


def test_a_saved_adapter_loads_with_plain_peft_and_gives_the_same_logits(make, tokenizer, tmp_path):
    from peft import PeftModel

    model = shake(trainable.make_trainable(make(), LORA))
    trainable.save(model, tokenizer, "some/base", tmp_path)
    loaded = PeftModel.from_pretrained(make(), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "some/base"


def test_a_saved_adapter_is_one_file_of_weights_and_one_of_settings(make, tokenizer, tmp_path):
    trainable.save(trainable.make_trainable(make(), LORA), tokenizer, "some/base", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]


def test_a_saved_full_model_loads_with_plain_transformers(make, tokenizer, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = shake(trainable.make_trainable(make(), TuneConfig(method="full")))
    trainable.save(model, tokenizer, "some/base", tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0)
    text = "Where be the gold, matey?"
    assert AutoTokenizer.from_pretrained(tmp_path)(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}


def test_the_pristine_model_is_the_base_whatever_its_adapter_does(make):
    model = shake(trainable.make_trainable(make(), LORA))
    used = logits(model)
    with trainable.pristine(model):
        torch.testing.assert_close(logits(model), logits(make()), rtol=0, atol=0)
    torch.testing.assert_close(logits(model), used, rtol=0, atol=0)
