"""What is written for others: a repository of the hub, a Space that answers, a bundle that can be checked."""

import json
import runpy
import subprocess
from dataclasses import asdict
from zipfile import ZipFile

import pytest
import yaml

from data.errors import UserError
from recipes.export import quantizer, run
from recipes.export.bundle import settings_of
from recipes.export.consumers.with_gradio_client import new_environment
from recipes.sft.config import TuneConfig
from registry import versions
from steps.export import export
from steps.flags import parse
from tests.fixtures.consumers import consume, write
from tests.small_version import register_adapter


@pytest.fixture(scope="module")
def version(settle, tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        yield register_adapter(tiny_base, folder)


@pytest.fixture(autouse=True)
def _written_in_this_process(monkeypatch):
    monkeypatch.setattr(run, "in_own_process", write)


def exported(monkeypatch, target, version, *flags):
    """The folder of an export that is read in this process."""
    monkeypatch.setattr(run, "consume", consume)
    export(["--version", version, "--output", str(target), "--max_new_tokens", "6", *flags])
    return target


def front_matter(folder):
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


def test_a_repository_has_the_adapter_and_a_card_with_the_metadata_of_the_hub(version, monkeypatch, tmp_path):
    flags = ["--to", "hub", "--dry_run", "true", "--license", "apache-2.0"]
    folder = exported(monkeypatch, tmp_path / "hub", version, *flags)
    found = front_matter(folder)
    assert (found["license"], found["library_name"], "base_model" in found) == ("apache-2.0", "peft", False)
    assert {"adapter_config.json", "adapter_model.safetensors", "proof.md", "chat_template.jinja"} <= {
        path.name for path in folder.iterdir()
    }


def test_an_upload_takes_the_token_of_the_environment_alone(monkeypatch, tmp_path):
    import huggingface_hub

    from recipes.export import hub
    from recipes.export.config import ExportConfig

    calls = []

    class Api:
        def __init__(self, token):
            calls.append(token)

        def create_repo(self, name, exist_ok):
            calls.append((name, exist_ok))

        def upload_folder(self, repo_id, folder_path, commit_message):
            calls.append((repo_id, folder_path))
            raise OSError("403 Forbidden\nand more")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(UserError, match="ann/pirate was not uploaded: 403 Forbidden") as caught:
        hub.upload("pirate/1", tmp_path, ExportConfig(to="hub", repository="ann/pirate"))
    assert calls == ["hf_secret", ("ann/pirate", True), ("ann/pirate", tmp_path)]
    assert "hf_secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "token", "message"),
    [
        (["--to", "hub"], "", "repository names where it goes"),
        (["--to", "hub", "--repository", "ann/pirate"], "", "set HF_TOKEN in the environment"),
        (["--to", "hub", "--repository", "ann/pirate"], "hf_x", "the hub http://127.0.0.1:9 can't be reached"),
        (["--to", "hub", "--dry_run", "true"], "", "license names the licence of the base"),
        (["--to", "space"], "", "license names the licence of the base"),
        (["--to", "onnx"], "", "needs transformers below 4.58"),
        (["--to", "gguf", "--outtype", "q4_k_m"], "", "llama-quantize on PATH"),
    ],
)
def test_what_is_missing_is_one_line_and_nothing_is_left(version, flags, token, message, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(quantizer, "_libraries", lambda: iter(()))
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match=message) as caught:
        export(["--version", version, "--output", str(tmp_path / "exported"), *flags])
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


def test_a_bundle_is_checked_by_its_own_script_in_a_fresh_folder(version, monkeypatch, tmp_path):
    folder = exported(monkeypatch, tmp_path / "bundle", version, "--to", "bundle")
    assert sorted(path.name for path in folder.iterdir()) == ["pirate-1.zip", "proof.json", "proof.md"]
    fresh = tmp_path / "fresh"
    with ZipFile(folder / "pirate-1.zip") as packed:
        packed.extractall(fresh)
    place = fresh / "pirate-1"
    facts = json.loads((place / "bundle.json").read_text())
    assert facts["tags"]["base_digest"] == versions.resolve(version).tags["base_digest"]
    assert (place / "model_card.md").is_file() and "torch==" in (place / "requirements.txt").read_text()
    checks = runpy.run_path(str(place / "reproduce.py"))
    assert checks["check_files"]() and checks["check_answers"]()
    transcript = place / "transcript.json"
    transcript.write_text(transcript.read_text().replace('"tokens": [\n', '"tokens": [\n 5,', 1))
    assert not checks["check_files"]() and not checks["check_answers"]()


def test_the_settings_of_a_bundle_are_flags_of_its_entry_point_and_nothing_else():
    config = TuneConfig(dataset="wordy", epochs=2, claims="mine.yaml")
    logged = {name: str(value) for name, value in asdict(config).items()}
    others = {"learning_rate": "0.001", "num_train_epochs": "2", "claims_digest": "1f", "claims_text": "claim: []"}
    settings = settings_of("pirate", {**logged, **others})
    assert parse(TuneConfig, [word for name, value in settings.items() for word in (f"--{name}", value)]) == config
    assert settings_of("", logged) == {}


def test_the_environment_of_a_space_has_what_its_requirements_name_and_nothing_of_this_one(tmp_path):
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    python = new_environment(str(tmp_path / "venv"), str(tmp_path / "requirements.txt"))
    done = subprocess.run(
        [python, "-I", "-c", "import sys, pip; print(sys.prefix); import gradio"], capture_output=True
    )
    assert done.stdout.decode().strip() == str(tmp_path / "venv") and b"No module named 'gradio'" in done.stderr
    (tmp_path / "requirements.txt").write_text("./not-there\n")
    with pytest.raises(RuntimeError, match=r"^pip install -r requirements.txt: .*not-there"):
        new_environment(str(tmp_path / "again"), str(tmp_path / "requirements.txt"))


def test_a_space_answers_as_its_version_does(version, tmp_path, capsys):
    target = tmp_path / "space"
    flags = ["--to", "space", "--license", "apache-2.0", "--max_new_tokens", "4", "--threads", "1"]
    export(["--version", version, "--output", str(target), *flags])
    proof = json.loads((target / "proof.json").read_text())
    assert proof["passed"] and proof["same_texts"] == proof["same_prompts"] == proof["n"]
    found = front_matter(target)
    assert (found["sdk"], found["app_file"], found["license"]) == ("gradio", "app.py", "apache-2.0")
    assert (target / "base" / "model.safetensors").is_file() and (target / "version" / "adapter_config.json").is_file()
    assert f"gradio=={found['sdk_version']}\n" in (target / "requirements.txt").read_text()
    app = runpy.run_path(str(target / "app.py"))
    waiting, first, last = app["chat"]("Hello there.", None, None, 4)
    assert [len(each) for each in waiting[1:]] == [1, 1]  # both conversations show the prompt before any answer
    assert [len(each) for each in first[1:]] == [2, 1]
    assert last[2][1]["content"] == app["compare"](last[2][:1], 4)["version"]["text"].strip()
    (unchanged,) = app["chat"](" ", last[1], last[2], 4)
    assert unchanged == [" ", *last[1:]]
    with pytest.raises(app["gr"].Error, match="too long"):
        list(app["chat"]("word " * 2000, None, None, 4))
