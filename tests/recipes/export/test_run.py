"""An export of a real version of the tiny base, read by the real consumers in processes of their own."""

import json
import signal
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.conversation import Row
from data.errors import UserError
from recipes.export import run
from recipes.export.config import ExportConfig
from recipes.export.output_folder import new_folder
from recipes.export.prompts import conversations
from registry import runs
from steps.export import export
from tests.fixtures.consumers import consume, write
from tests.small_version import register_adapter


@pytest.fixture(scope="module")
def version(settle, tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        yield register_adapter(tiny_base, folder)


@pytest.mark.parametrize("to", ["merged", "adapter"])
def test_an_export_answers_as_its_version_does(version, to, tmp_path, monkeypatch):
    target = tmp_path / to
    if to == "merged":  # one program reads both; the other one runs in a process of its own
        monkeypatch.setattr(run, "consume", consume)
        monkeypatch.setattr(run, "in_own_process", write)
    export(["--version", version, "--to", to, "--output", str(target), "--max_new_tokens", "8"])
    proof = json.loads((target / "proof.json").read_text())
    assert proof["passed"] and proof["same_prompts"] == proof["same_texts"] == proof["n"] >= 25
    assert 0 <= proof["largest"] < 1e-3
    assert [path.name for path in tmp_path.iterdir()] == [to]  # no partial folder is left


def test_a_caller_gets_each_line_as_it_comes_and_the_folder_and_comparison_at_the_end(version, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "consume", consume)
    monkeypatch.setattr(run, "in_own_process", write)
    config = ExportConfig(version, output=str(tmp_path / "merged"), max_new_tokens=1)
    lines: list[str] = []
    made = run.export_version(config, runs.start("export", tmp_path / "outputs"), lines.append)
    assert [line.split()[0] for line in lines] == ["Version", "Loaded", "Prompts", "Written", "Compared", "Export"]
    assert (made.folder, made.proof.cause) == (tmp_path / "merged", "") and (made.folder / "config.json").is_file()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "version names what is exported"),
        (["--version", "pirate/99"], "there is no version pirate/99"),
        (["--version", "pirate/1:base"], "name the version itself"),
        (["--version", "pirate/1", "--output", "."], "is there already"),
        (["--version", "pirate/1", "--outtype", "q8_0"], "outtype goes with to=gguf or to=ollama, not with to=merged"),
        (["--version", "pirate/1", "--to", "gguf", "--license", "mit"], "license goes with to=hub or to=space"),
        (["--version", "pirate/1", "--dry_run", "true"], "dry_run goes with to=hub, not with to=merged"),
    ],
)
def test_what_can_not_be_exported_is_one_line(version, flags, message):
    with pytest.raises(UserError, match=message):
        export(flags)
    assert list(Path().rglob(".partial-*")) == []


@pytest.mark.parametrize(
    ("config", "tags", "message"),
    [
        ("kind: openai, model: gpt-5, base_model: gpt-4", {"kind": "openai"}, "is a model behind an API"),
        ("kind: tfidf", {"kind": "tfidf"}, "is a TF-IDF classifier"),
    ],
)
def test_a_version_without_weights_of_a_language_model_is_refused(version, config, tags, message, tmp_path):
    (tmp_path / "MLmodel").write_text(f"flavors: {{python_function: {{config: {{{config}}}}}}}")
    client = MlflowClient()
    client.create_registered_model(tags["kind"])
    client.create_model_version(tags["kind"], tmp_path.as_uri(), tags=tags)
    with pytest.raises(UserError, match=message):
        export(["--version", f"{tags['kind']}/1"])


def test_a_killed_export_leaves_no_folder_of_that_name_and_the_next_one_removes_what_it_left(
    version, launcher, tmp_path
):
    target = tmp_path / "exported"
    step = launcher.start("steps.export", ["--version", version, "--output", target], {}, Path.cwd())
    (partial,) = step.wait_for(lambda: list(tmp_path.glob(".partial-*")), "the unfinished folder")
    step.signal(signal.SIGKILL)
    step.wait()
    assert not target.exists() and partial.exists()
    other = tmp_path / ".partial-exported-other-x"  # of an export to exported-other
    other.mkdir()
    with new_folder(target) as place, pytest.raises(ZeroDivisionError), new_folder(target) as second:
        assert not partial.exists() and place.exists()  # place is held by this process
        (second / "file").write_text("x")
        raise ZeroDivisionError
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-exported-other-x", "exported"]


def test_others_may_read_what_is_exported(tmp_path):
    with new_folder(tmp_path / "exported") as place:
        (place / "weights").touch(0o600)
    assert (tmp_path / "exported" / "weights").stat().st_mode & 0o777 == 0o644


def test_what_is_not_compared_is_counted():
    rows = [Row(((prompt, "x"),), "Be brief." if prompt == "b" else "") for prompt in "abc"]
    asked = conversations(rows, takes_system=False, fits=lambda row: len(row.prompt) < 60 and row.prompt != "a")
    assert asked.notes == (
        "2 held-out rows of the version",
        "2 left out, longer than the model's positions hold",
        "1 held-out rows compared without their system message, which the template does not take",
    )
