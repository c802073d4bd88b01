"""``load``: what auto is for which files and machines."""

import json

import pytest
import torch
from safetensors.torch import save_file

from inference import precision
from inference.precision import choose, product_rates


@pytest.fixture
def rates(monkeypatch):
    """Sets what this CPU's products are taken to reach."""

    def fix(fp32: float, bf16: float) -> None:
        monkeypatch.setattr(precision, "product_rates", lambda: {"fp32": fp32, "bf16": bf16})

    return fix


def _folder(path, matrix, vector=torch.float32):
    path.mkdir()
    save_file({"a": torch.ones(2, 2, dtype=matrix), "b": torch.ones(2, dtype=vector)}, path / "model.safetensors")
    return path


def test_auto_is_bf16_only_where_no_weight_changes_and_the_product_is_faster(tmp_path, rates):
    half, full = _folder(tmp_path / "half", torch.bfloat16), _folder(tmp_path / "full", torch.float32)
    rates(100, 300)
    assert choose("auto", half, "cpu") == "bf16"
    assert choose("auto", full, "cpu") == "fp32"
    assert choose("auto", half, "cpu", frozen=False) == "fp32"
    assert choose("auto", _folder(tmp_path / "f16", torch.float16), "cpu") == "fp32"
    rates(100, 110)
    assert choose("auto", half, "cpu") == "fp32"
    assert choose("auto", half, "cpu", packed=True) == "bf16"


@pytest.mark.parametrize("load", ["fp32", "bf16", "4bit"])
def test_what_is_asked_for_is_taken(tmp_path, load):
    assert choose(load, tmp_path, "cpu") == load


def test_rates_are_timed_once_a_machine_and_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "new"))
    product_rates.cache_clear()
    first = product_rates()
    assert first.keys() == {"fp32", "bf16"} and min(first.values()) > 0
    file = tmp_path / "new" / "product_rates.json"
    ((machine, kept),) = json.loads(file.read_text()).items()
    assert kept == first
    file.write_text(json.dumps({machine: {"fp32": 1.0, "bf16": 2.0}, "another": {"fp32": 5.0, "bf16": 1.0}}))
    product_rates.cache_clear()
    assert product_rates() == {"fp32": 1.0, "bf16": 2.0}
    product_rates.cache_clear()


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"x": 1}'])
def test_a_damaged_cache_is_written_anew(tmp_path, monkeypatch, content):
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path))
    (tmp_path / "product_rates.json").write_text(content)
    product_rates.cache_clear()
    assert min(product_rates().values()) > 0
    product_rates.cache_clear()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "file" / "below"))
    product_rates.cache_clear()
    assert min(product_rates().values()) > 0
    product_rates.cache_clear()
