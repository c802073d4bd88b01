"""Plain LoRA adapters are read as PEFT understands them; whatever is more than that is told apart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import UserError
from inference.loading import load_model
from inference.lora import CONFIG, WEIGHTS, AdapterBatch, LoraAdapter, UnsupportedAdapter, read, require_fit
from tests.inference import tiny


@pytest.fixture(scope="module")
def base(tiny_base, tmp_path_factory) -> Path:
    return tiny.stirred(tiny_base, tmp_path_factory.mktemp("base"), seed=1)


@pytest.fixture(scope="module")
def model(base) -> Any:
    return load_model(base)


@pytest.fixture(scope="module")
def made(base, tmp_path_factory) -> Path:
    return tiny.adapter(base, tmp_path_factory.mktemp("adapter"), 1)


IDS = torch.tensor([[5, 9, 20, 33]])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"r": 1, "lora_alpha": 3},
        {"r": 9, "use_rslora": True},
        {"target_modules": ["c_fc", "c_proj"]},
        {"target_modules": r".*h\.1\.attn\.c_attn"},
        {"layers_to_transform": [1]},
        {"init_lora_weights": "gaussian"},
    ],
)
def test_a_plain_adapter_adds_what_peft_adds(base, model, tmp_path, settings):
    folder = tiny.adapter(base, tmp_path / "adapter", 1, **settings)
    worn = read(folder)
    require_fit(model, worn)
    with torch.inference_mode():
        expected = tiny.plain(base, folder)(input_ids=IDS).logits
        with AdapterBatch(model, [worn]).active():
            found = model(input_ids=IDS).logits
        assert not torch.allclose(model(input_ids=IDS).logits, expected, atol=0.01)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "whole layers of its own"),
        ({"bias": "all"}, "biases of its own"),
        ({"bias": "lora_only"}, "biases of its own"),
        ({"lora_bias": True}, "biases of its own in its layers"),
        ({"rank_pattern": {"h.1.attn.c_attn": 2}}, "ranks by layer"),
        ({"alpha_pattern": {"h.1.attn.c_attn": 2}}, "scales by layer"),
        ({"trainable_token_indices": [5, 6]}, "token embeddings of its own"),
        ({"init_lora_weights": "pissa"}, "a base changed by pissa"),
        ({"init_lora_weights": "olora"}, "a base changed by olora"),
        ({"target_modules": ["wte"]}, "it holds .*lora_embedding_A"),
    ],
    ids=lambda value: str(next(iter(value.items()))) if isinstance(value, dict) else "",
)
def test_what_is_more_than_plain_is_told_apart(base, tmp_path, settings, says):
    folder = tiny.adapter(base, tmp_path / "adapter", 1, **settings)
    with pytest.raises(UnsupportedAdapter, match=says):
        read(folder)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "IA3", "LOHA", None, 5])
def test_other_kinds_of_adapters_are_told_apart(made, tmp_path, kind):
    with pytest.raises(UnsupportedAdapter, match=f"its kind is {kind}"):
        read(tiny.copy_with(made, tmp_path / "other", CONFIG, peft_type=kind))


def test_settings_of_a_later_peft_are_not_taken_for_plain(made, tmp_path):
    read(tiny.copy_with(made, tmp_path / "off", CONFIG, use_novelty=False))
    with pytest.raises(UnsupportedAdapter, match="it has use_novelty, which is not known here"):
        read(tiny.copy_with(made, tmp_path / "on", CONFIG, use_novelty=True))


@pytest.mark.parametrize(
    "changes",
    [{"r": 0}, {"r": None}, {"r": "4"}, {"lora_alpha": None}, {"lora_alpha": "x"}, {"lora_alpha": float("nan")}],
)
def test_a_scale_that_is_no_number_is_refused(made, tmp_path, changes):
    with pytest.raises(UserError, match="adapter_config.json is broken: lora_alpha="):
        read(tiny.copy_with(made, tmp_path / "odd", CONFIG, **changes))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_a_configuration_that_can_not_be_read_is_refused(made, tmp_path, text):
    folder = tiny.copy_with(made, tmp_path / "odd", CONFIG)
    (folder / CONFIG).write_text(text)
    with pytest.raises(UserError, match="holds no readable adapter_config.json"):
        read(folder)


def test_pickled_and_broken_weights_are_refused(made, tmp_path):
    folder = tiny.copy_with(made, tmp_path / "odd", CONFIG)
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:300])
    with pytest.raises(UserError, match="adapter_model.safetensors can't be read"):
        read(folder)
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")
    with pytest.raises(UserError, match="pickled weights are not loaded"):
        read(folder)


def rewritten(made: Path, place: Path, change: Any) -> Path:
    folder = tiny.copy_with(made, place, CONFIG)
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return folder


def test_an_adapter_with_half_a_layer_is_refused(made, tmp_path):
    with pytest.raises(UserError, match="the two sides of transformer.h.0.attn.c_attn don't fit"):
        read(rewritten(made, tmp_path / "half", lambda tensors: tensors.pop(min(tensors))))


def test_an_adapter_for_another_model_is_refused(tiny_base, model, tmp_path):
    llama = tiny.rope("llama", tiny_base, tmp_path / "llama")
    with pytest.raises(UserError, match="this one has no layer model.layers.0"):
        require_fit(model, read(tiny.adapter(llama, tmp_path / "one", 1, target_modules=["q_proj"])))
    made = read(tiny.adapter(llama, tmp_path / "two", 1, target_modules=["q_proj"]))
    odd = LoraAdapter({"transformer.h.0.attn.c_attn": next(iter(made.layers.values()))}, 1.0, 1)
    with pytest.raises(UserError, match="layer transformer.h.0.attn.c_attn has another shape here"):
        require_fit(model, odd)
    with pytest.raises(UnsupportedAdapter, match="layer transformer.wte is of the kind Embedding"):
        require_fit(model, LoraAdapter({"transformer.wte": (torch.zeros(600, 2), torch.zeros(2, 64))}, 1.0, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_an_adapter_takes_the_memory_of_its_file(made, model, tmp_path, dtype):
    def lower(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: tensor.to(dtype) for name, tensor in tensors.items()})

    folder = rewritten(made, tmp_path / "lower", lower)
    worn = read(folder)
    held = sum(t.untyped_storage().nbytes() for ab in worn.layers.values() for t in ab)
    assert held == worn.bytes <= (folder / WEIGHTS).stat().st_size
    with torch.inference_mode(), AdapterBatch(model, [worn]).active():
        found = model(input_ids=IDS).logits
    with torch.inference_mode():
        torch.testing.assert_close(found, tiny.plain.__wrapped__(model.name_or_path, folder)(input_ids=IDS).logits,
                                   atol=1e-5, rtol=0)  # fmt: skip


def test_hooks_are_gone_afterwards_even_after_an_error(made, model):
    mixture = AdapterBatch(model, [read(made), None])
    with pytest.raises(ZeroDivisionError), mixture.active():
        assert any(module._forward_hooks for module in model.modules())
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in model.modules())
