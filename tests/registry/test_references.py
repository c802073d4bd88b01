"""What a reference stands for: our versions, their bases and checkpoints, and versions that other tools made."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient

from data.errors import UserError
from inference.lora import CONFIG
from inference.model_pool import ModelPool
from inference.transcript import Sampling
from inference.weights import weights_digest
from registry import references, versions
from registry.references import find
from registry.resolver import Resolver
from tests.inference import tiny

GREEDY = Sampling(temperature=0, max_new_tokens=6)


def find_base(name: str) -> Path:
    if not Path(name).is_dir():
        raise UserError(f"there is no base {name}")
    return Path(name)


def register(name: str, source: str, **tags: str) -> str:
    client = MlflowClient()
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    return f"{name}/{client.create_model_version(name, source, tags=tags).version}"


def refused(reference: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        find(reference, find_base)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def ours(logged, taught, tiny_base) -> Iterator[dict[str, str]]:
    """The references of Parley's own versions, by kind, with a checkpoint of step 24 each."""
    found = {}
    for kind, each in logged.items():
        each.run.folder_of_files(taught[kind].checkpoint, "checkpoints/step-24")
        tags = {"kind": kind, "base_model": str(tiny_base), "base_digest": weights_digest(tiny_base)}
        made = versions.register(kind, each.uri, each.run.run_id, tags, "")
        found[kind] = f"{kind}/{made.number}"
    yield found


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_our_versions_say_in_a_panel_what_they_say_alone(ours, logged, taught, kind):
    source = find(ours[kind], find_base)
    assert (source.reference, source.kind) == (ours[kind], kind)
    assert source.folder and weights_digest(source.folder) == weights_digest(taught[kind].checkpoint)
    panel = ModelPool(Resolver(find_base).look).open([ours[kind], f"{ours[kind]}:24", f"{ours[kind]}:base"])
    assert [voice.reference for voice in panel.models] == [ours[kind], f"{ours[kind]}:24", f"{ours[kind]}:base"]
    probe = logged[kind].probe
    *_, said = panel.generate(probe.prompts[0], GREEDY)
    assert said.replies[0].text == said.replies[1].text == probe.answers[0]
    assert panel.models[0].digest == panel.models[1].digest != panel.models[2].digest


def test_the_base_of_a_version_is_the_one_that_it_was_trained_on(ours, tiny_base):
    for kind in ("lora", "full"):
        source = find(f"{ours[kind]}:base", find_base)
        assert (source.kind, source.folder, source.base_digest) == ("base", tiny_base, weights_digest(tiny_base))
        assert source.template  # the base reads prompts as its version does


@pytest.mark.parametrize(
    ("part", "says"),
    [(":25", "keeps no checkpoint of step 25; it has 24"), (":x", "names no version"), (":", "names no")],
)
def test_a_part_that_is_not_there_is_one_line(ours, part, says):
    refused(ours["lora"] + part, says)


def test_a_checkpoint_is_of_a_version_that_has_a_run(store, tiny_base):
    refused(register("bare", str(tiny_base)) + ":24", "names no run, so it has no checkpoints")


def test_a_plain_mlflow_transformers_model_speaks(store, tiny_base):
    from inference.loading import load

    model, tokenizer = load(tiny_base)
    info: Any = mlflow.transformers.log_model(
        {"model": model, "tokenizer": tokenizer},
        name="theirs",
        task="text-generation",
        pip_requirements=["transformers"],
    )
    panel = ModelPool(Resolver(find_base).look).open(
        [register("theirs", info.model_uri, base_model=str(tiny_base)), "theirs/1:base"]
    )
    assert [(voice.kind, voice.digest) for voice in panel.models] == [
        (kind, weights_digest(tiny_base)) for kind in ("full", "base")
    ]
    *_, said = panel.generate("Hello.", GREEDY)
    ids = tokenizer("<|user|> Hello.<|assistant|>")["input_ids"]
    assert list(said.replies[0].token_ids) == tiny.greedy(tiny_base, None, ids, 6, [tokenizer.eos_token_id])


def test_an_adapter_logged_by_mlflow_transformers_speaks(store, tiny_base, tmp_path):
    from peft import PeftModel

    from inference.loading import load

    made = tiny.adapter(tiny_base, tmp_path / "made", 1)
    model, tokenizer = load(tiny_base)
    info: Any = mlflow.transformers.log_model(
        {"model": PeftModel.from_pretrained(model, made), "tokenizer": tokenizer},
        name="theirs",
        task="text-generation",
        base_model_path=str(tiny_base),
        pip_requirements=["transformers"],
    )
    panel = ModelPool(Resolver(find_base).look).open([register("theirs", info.model_uri), "theirs/1:base"])
    assert panel.way == "one batch, 1 adapter"
    *_, said = panel.generate("Hello.", GREEDY)
    ids = tokenizer("<|user|> Hello.<|assistant|>")["input_ids"]
    assert list(said.replies[0].token_ids) == tiny.greedy(tiny_base, made, ids, 6, [tokenizer.eos_token_id])
    assert list(said.replies[1].token_ids) == tiny.greedy(tiny_base, None, ids, 6, [tokenizer.eos_token_id])


@pytest.mark.parametrize("inner", ["", "model"])
def test_bare_folders_are_understood(store, tiny_base, tmp_path, inner):
    made = tiny.adapter(tiny_base, tmp_path / "adapter" / inner, 1)
    source = find(register("adapter", str(tmp_path / "adapter")), find_base)
    assert (source.kind, source.folder, source.base_name) == ("lora", made, str(tiny_base))
    whole = shutil.copytree(tiny_base, tmp_path / "whole" / inner)
    source = find(register("whole", str(tmp_path / "whole")), find_base)
    assert (source.kind, source.folder) == ("full", whole)
    refused("whole/1:base", "whole/1 does not say which base it was made from")


def test_an_adapter_that_names_no_base_is_refused(store, tiny_base, tmp_path):
    tiny.adapter(tiny_base, tmp_path / "made", 1)
    nameless = tiny.copy_with(tmp_path / "made", tmp_path / "nameless", CONFIG, base_model_name_or_path=None)
    refused(register("nameless", str(nameless)), "nameless/1 does not say which base its adapter was made for")
    assert find(register("nameless", str(nameless), base_model="b"), find_base).base_name == "b"


def test_pickled_weights_are_refused(store, tiny_base, tmp_path):
    whole = shutil.copytree(tiny_base, tmp_path / "whole")
    torch.save({}, whole / "pytorch_model.bin")
    (whole / "model.safetensors").unlink()
    refused(register("whole", str(whole)), "^whole/1 holds pytorch_model.bin; pickled weights are not loaded")
    made = tiny.adapter(tiny_base, tmp_path / "made", 1)
    (made / "adapter_model.safetensors").rename(made / "adapter_model.bin")
    refused(register("made", str(made)), "^made/1 holds adapter_model.bin; pickled weights are not loaded")


def test_a_pickled_model_is_refused_and_not_run(store, tmp_path):
    from mlflow.pyfunc import PythonModel

    class Model(PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input

    info: Any = mlflow.pyfunc.log_model(name="pickled", python_model=Model(), pip_requirements=["mlflow"])
    refused(
        register("pickled", info.model_uri), "^pickled/1 is a pickled model; those are not loaded, they can run code$"
    )


def test_a_folder_of_something_else_is_refused(store, tmp_path):
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "MLmodel").write_text("flavors: {sklearn: {}, prophet: {}}")
    refused(register("else", str(tmp_path / "else")), "else/1 is no language model .*: it holds sklearn, prophet")
    (tmp_path / "else" / "MLmodel").write_text("flavors: {}")
    refused("else/1", "it holds nothing that MLflow describes")


def described(tmp_path: Path, **flavors: Any) -> str:
    folder = tmp_path / "version"
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return register("described", str(folder))


@pytest.mark.parametrize("place", ["../base", "model/../../base", "ABSOLUTE", "link"])
@pytest.mark.parametrize("field", ["model_binary", "peft_adaptor", "checkpoint"])
def test_a_description_that_leads_outside_of_its_folder_is_not_followed(store, tiny_base, tmp_path, field, place):
    elsewhere = shutil.copytree(tiny_base, tmp_path / "base")
    (elsewhere / CONFIG).write_text(json.dumps({"base_model_name_or_path": str(tiny_base)}))
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "link").symlink_to(elsewhere)
    path = str(elsewhere) if place == "ABSOLUTE" else place
    if field == "checkpoint":
        pyfunc = {"config": {"kind": "full"}, "artifacts": {"checkpoint": {"path": path}}}
        reference = described(tmp_path, python_function=pyfunc)
    else:
        reference = described(tmp_path, transformers={field: path})
    refused(reference, "^described/1 names files outside of its own folder; those are not loaded$")


def test_a_link_to_a_folder_elsewhere_is_not_a_version_either(store, tiny_base, tmp_path):
    (tmp_path / "version").mkdir()
    (tmp_path / "version" / "link").symlink_to(tiny_base)
    refused(register("linked", str(tmp_path / "version")), "is no language model")


def test_a_hub_cache_whose_files_are_links_is_read(store, tiny_base, tmp_path):
    (tmp_path / "snapshot").mkdir()
    for file in tiny_base.iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(file)
    assert find(register("hub", str(tmp_path / "snapshot")), find_base).kind == "full"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "3",
        "{",
        "a: [",
        "flavors: 3",
        "flavors: [1]",
        "flavors: {transformers: x}",
        "flavors: {python_function: [1]}",
    ]
    + [
        "flavors: {python_function: {config: x}}",
        "flavors: {3: {}}",
        "\x00",
        "[" * 1200,
        "flavors: !!python/object:os.x {}",
    ],
)
def test_a_broken_description_is_one_line(store, tmp_path, text):
    reference = described(tmp_path)
    (tmp_path / "version" / "MLmodel").write_text(text)
    refused(reference, "described/1|MLmodel can't be read")


def test_weights_that_are_only_named_are_refused(store, tmp_path):
    reference = described(tmp_path, transformers={"source_model_name": "gpt2"})
    refused(reference, "described/1 keeps only the name of its weights, gpt2")


def test_a_remote_version_needs_a_model(store, tmp_path):
    refused(
        described(tmp_path, python_function={"config": {"kind": "openai"}}), "does not say which remote model it is"
    )


def test_files_elsewhere_are_fetched_once_and_anew_for_another_version_of_that_name(
    store, tiny_base, tmp_path, monkeypatch
):
    monkeypatch.setattr(references, "is_local_uri", lambda *_, **__: False)
    fetched = []
    download = references.download_artifacts
    monkeypatch.setattr(references, "download_artifacts", lambda **named: fetched.append(1) or download(**named))
    client, reference = MlflowClient(), register("far", str(tiny_base))
    one, again = find(reference, find_base), find(reference, find_base)
    assert one == again and len(fetched) == 1
    assert one.folder and one.folder != tiny_base and weights_digest(one.folder) == weights_digest(tiny_base)
    client.delete_registered_model("far")
    other = tiny.stirred(tiny_base, tmp_path / "other", seed=4)
    assert register("far", str(other)) == reference
    found = find(reference, find_base)
    assert found.folder and weights_digest(found.folder) == weights_digest(other)


def test_a_base_that_is_nowhere_named_any_more_is_told(store, tmp_path):
    source = references.ModelSource("x/1", "lora", tmp_path, "", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="the base of x/1 is unavailable: it is no longer at .*gone"):
        references.find_base_folder(source, find_base)
