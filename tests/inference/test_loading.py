"""Weights are loaded whole, from safetensors, without anybody's code; whatever else is refused in one line."""

import gc
import json
import shutil
import weakref

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from data.errors import UserError
from inference.loading import load, load_model, load_tokenizer


@pytest.fixture
def folder(tiny_base, tmp_path):
    return shutil.copytree(tiny_base, tmp_path / "model")


def refused(folder, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_a_model_comes_in_float32_ready_to_answer(folder):
    model, tokenizer = load(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32} and not model.training
    assert tokenizer.eos_token_id == model.config.eos_token_id


def test_models_are_freed_when_nothing_uses_them_and_not_at_some_garbage_collection(folder):
    gc.disable()
    try:
        model = load_model(folder)
        adapted = get_peft_model(load_model(folder), LoraConfig(task_type="CAUSAL_LM"))
        weights = [weakref.ref(next(each.parameters())) for each in (model, adapted)]
        del model, adapted
        assert [each() for each in weights] == [None, None]
    finally:
        gc.enable()


def test_pickled_weights_are_refused(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    refused(folder, "can't be loaded: .*safetensors")


def test_weights_that_lack_a_tensor_are_refused_not_made_up(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "its weights lack 1 tensors .transformer.h.1.mlp.c_fc.weight")


def test_broken_weights_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    refused(folder, "can't be loaded")


@pytest.mark.parametrize(
    "config", ["{", "[]", "{}", '{"model_type": "no-such"}', '{"model_type": "gpt2", "n_embd": "x"}']
)
def test_a_config_that_says_nothing_sensible_is_refused(folder, config):
    (folder / "config.json").write_text(config)
    with pytest.raises(UserError, match="can't be loaded") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_strangers_code_is_not_run(folder, tmp_path):
    trace = tmp_path / "ran"
    (folder / "evil.py").write_text(f"open({str(trace)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "can't be loaded")
    assert not trace.exists()


def test_a_tokenizer_without_an_end_token_is_refused(folder):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token": None}))
    with pytest.raises(UserError, match="no end token, so a model could never stop"):
        load_tokenizer(folder)


def test_a_broken_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer in .* can't be loaded") as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


def sharded(folder, place: str):
    """Cut the weights in two, and let the index name ``place`` for the second half."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, shards = sorted(tensors), ["one.safetensors", place]
    halves = names[::2], names[1::2]
    for half, shard in zip(halves, shards, strict=True):
        save_file({name: tensors[name] for name in half}, folder / shard, metadata={"format": "pt"})
    found = {name: shard for half, shard in zip(halves, shards, strict=True) for name in half}
    index = {"metadata": {"total_size": 1}, "weight_map": found}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_weights_in_several_files_are_loaded(folder, tiny_base):
    sharded(folder, "two.safetensors")
    expected = load_model(tiny_base).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in load_model(folder).state_dict().items())


def test_an_index_that_leads_elsewhere_is_refused(folder):
    sharded(folder, "../two.safetensors")
    refused(folder, "names weights outside of it")


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_a_broken_index_is_refused(folder, index):
    (folder / "model.safetensors.index.json").write_text(index)
    refused(folder, "model.safetensors.index.json can't be read")
