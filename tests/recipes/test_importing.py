"""Models that were made elsewhere become versions: adapters of plain PEFT, whole models, GGUF files."""

import importlib
import json
import shutil

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from recipes.version_models import load, locate
from registry import evaluation_run, versions
from tests.fixtures.gguf_files import write as write_gguf
from tests.inference.tiny import adapter, greedy, stirred

import_model = importlib.import_module("steps.import").import_model


@pytest.fixture(scope="module")
def theirs(settle, tiny_base, tmp_path_factory):
    """Folders of a base and of an adapter for it that PEFT has saved, and a store of their own."""
    folder = tmp_path_factory.mktemp("theirs")
    base = stirred(tiny_base, folder / "base", seed=3)
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        yield base, adapter(base, folder / "adapter", seed=4)


def test_an_adapter_of_peft_becomes_a_version_that_is_evaluated_beside_its_base(theirs, tmp_path):
    base, folder = theirs
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": f"Row {i}?", "response": f"It is {i}."}) + "\n" for i in range(6)))
    import_model(
        ["--path", str(folder), "--register_as", "theirs", "--test_dataset", str(rows), "--max_new_tokens", "6"]
    )
    version = versions.resolve("theirs/1")
    assert (version.tags["kind"], version.tags["base_model"]) == ("lora", str(base))
    assert float(version.tags["test/loss"]) != float(version.tags["base/loss"])
    assert MlflowClient().get_run(version.run_id).data.metrics == {}
    assert evaluation_run.read(version.run_id).data.metrics["test/loss"] == pytest.approx(
        float(version.tags["test/loss"])
    )
    model, tokenizer = load(locate("theirs/1"))
    ids = tokenizer("Hello there")["input_ids"]
    found = model.generate(
        input_ids=__import__("torch").tensor([ids]), max_new_tokens=5, do_sample=False, pad_token_id=0
    )
    assert found[0, len(ids) :].tolist() == greedy(base, folder, ids, 5)


def test_a_whole_model_and_a_gguf_file_become_versions(theirs, tmp_path, llama, tokenizer):
    base, _ = theirs
    import_model(["--path", str(base), "--register_as", "whole", "--base_model", str(base), "--max_new_tokens", "6"])
    assert locate("whole/1").info.digest == locate("whole/1:base").info.digest
    write_gguf(tmp_path / "tiny.gguf", llama(len(tokenizer)), tokenizer)
    import_model(["--path", str(tmp_path / "tiny.gguf"), "--register_as", "gguf", "--max_new_tokens", "6"])
    assert versions.resolve("gguf/1").tags["kind"] == "full"
    with pytest.raises(UserError, match="does not say which base"):
        locate("gguf/1:base")


@pytest.mark.parametrize(
    ("change", "flags", "message"),
    [
        (lambda place: None, ["--path", "nowhere"], "path=nowhere: there is no such folder or file"),
        (
            lambda place: (place / "adapter_model.safetensors").rename(place / "adapter_model.bin"),
            [],
            "pickled weights",
        ),
        (lambda place: None, ["--base_model", "bundled"], "the adapter is for another model"),
        (lambda place: configured(place, base_model_name_or_path=None), [], "names no base"),
        (lambda place: configured(place, base_model_name_or_path="gone/away/far"), [], "no such folder"),
        (lambda place: None, ["--test_dataset", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_what_can_not_be_imported_is_one_line_and_registers_nothing(theirs, tmp_path, change, flags, message):
    place = shutil.copytree(theirs[1], tmp_path / "adapter")
    change(place)
    with pytest.raises(UserError, match=message) as caught:
        import_model(["--path", str(place), "--register_as", "wrong", *flags])
    assert len(str(caught.value).splitlines()) == 1
    assert versions.versions("wrong") == []


def configured(place, **settings):
    path = place / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
