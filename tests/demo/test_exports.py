"""Exports that the page starts: a real one of a version of the tiny base, and what is shown of the others."""

import io
import json
from types import SimpleNamespace
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from data.errors import UserError
from demo import downloads
from demo.export_box import ExportBox
from demo.exports import OFFERED, PHASES, Export, Exports
from demo.step_process import FOLDER, LOG
from demo.view import exports as view
from tests.processes import wait_until
from tests.small_version import register_adapter

PROOF = {
    "n": 32, "same_prompts": 32, "same_texts": 31, "ties": 1, "largest": 0.031, "mean": 0.0007, "tokens": 400,
    "unknown": 4, "cause": "", "passed": True,
    "tolerance": {"texts": 1, "largest": None, "mean": None, "tie": 0.02},
    "items": [
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "<b>Hi</b>"}],
         "version": "Ahoy", "export": "Arr", "same": False},
        {"messages": [{"role": "user", "content": "Why?"}], "version": "Aye", "export": "Aye", "same": True},
    ],
}  # fmt: skip


def test_an_export_is_made_in_a_process_found_by_another_page_and_saved_as_a_zip(store, tiny_base, tmp_path):
    reference = register_adapter(tiny_base, tmp_path)
    exports = Exports(tmp_path / "outputs")
    assert exports.find(reference, "adapter").state == "absent"
    exports.start(reference, "adapter")
    another = Exports(tmp_path / "outputs")  # as after a restart of the page
    assert another.find(reference, "adapter").state == "running"
    with pytest.raises(UserError, match="is under way already"):
        another.start(reference, "adapter")
    wait_until(lambda: another.find(reference, "adapter").state != "running", "the end of the export", pause_s=0.2)
    found = another.find(reference, "adapter")
    assert found.state == "finished" and found.proof and found.proof["passed"], found.error
    assert all(passed in (True, None) for *_, passed in view.checks(found.proof))
    with pytest.raises(UserError, match="is exported as adapter already"):
        exports.start(reference, "adapter")
    text = exports.processes.find(f"export of {reference} as adapter").text
    assert all(any(line.startswith(word) for line in text.splitlines()) for word in PHASES), text
    client = TestClient(Starlette(routes=[downloads.route(tmp_path / "outputs")]))
    saved = client.get(f"/exports/{found.folder.name}")
    assert saved.headers["content-disposition"] == f'attachment; filename="{found.folder.name}.zip"'
    with ZipFile(io.BytesIO(saved.content)) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read(f"{found.folder.name}/proof.json"))["passed"]
        assert f"{found.folder.name}/adapter_model.safetensors" in archive.namelist()


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2f..", ".partial-pirate-1-merged-abcdefgh", "nothing", ""])
def test_nothing_but_finished_exports_can_be_saved(name, tmp_path):
    (tmp_path / "exports" / ".partial-pirate-1-merged-abcdefgh").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    client = TestClient(Starlette(routes=[downloads.route(tmp_path)]))
    assert client.get(f"/exports/{name}").status_code == 404


def test_a_bundle_is_saved_as_the_zip_that_it_is(tmp_path):
    (tmp_path / "exports" / "pirate-1-bundle").mkdir(parents=True)
    (tmp_path / "exports" / "pirate-1-bundle" / "pirate-1.zip").write_bytes(b"PK")
    saved = TestClient(Starlette(routes=[downloads.route(tmp_path)])).get("/exports/pirate-1-bundle")
    assert saved.content == b"PK" and 'filename="pirate-1.zip"' in saved.headers["content-disposition"]


def ended(folder, reference, name, text):
    """An export that has ended and printed ``text``."""
    place = folder / FOLDER / f"export of {reference.replace('/', '%2F')} as {name}"
    place.mkdir(parents=True)
    (place / "process").write_text("1")
    (place / LOG).write_text(text)


def test_one_that_was_refused_shows_its_last_line_and_one_that_was_stopped_says_so(tmp_path):
    ended(tmp_path, "pirate/1", "space", "\nlicense names the licence of the base tiny, such as license=apache-2.0\n")
    ended(tmp_path, "pirate/1", "merged", "Version pirate/1 to merged\n\nStopped. To continue: mlflow run .\n")
    exports = Exports(tmp_path)
    refused, stopped = exports.find("pirate/1", "space"), exports.find("pirate/1", "merged")
    assert (refused.state, stopped.state) == ("failed", "stopped")
    assert "license names the licence" in str(view.card(refused, "")) and not refused.proof
    with pytest.raises(UserError, match="is not under way"):
        exports.stop("pirate/1", "merged")
    with pytest.raises(UserError, match="there is no format 'exe'"):
        exports.find("pirate/1", "exe")


def test_what_was_compared_is_shown_with_what_is_allowed_and_nothing_of_it_is_markup(tmp_path):
    found = Export("pirate/1", "gguf f16", "finished", tmp_path / "pirate-1-gguf-f16", proof=PROOF, bytes=2_400_000)
    shown = str(view.card(found, "one file"))
    ElementTree.fromstring(shown.replace(" open>", ">").replace(" download>", ">").replace("<br>", "<br/>"))
    assert "31 of 32 equal, 1 part at a tie" in shown and "31 or more" in shown and "reported only" in shown
    assert "&lt;b&gt;Hi" in shown and "1 of 2 answers differ" in shown and "system prompt" in shown
    assert 'href="exports/pirate-1-gguf-f16"' in shown and "2.4 MB" in shown
    assert "-P to=gguf -P outtype=f16" in shown
    wrong = {**PROOF, "same_texts": 20, "ties": 0}
    assert [passed for *_, passed in view.checks(wrong)] == [True, False, None, None, None]
    strict = {**PROOF, "unknown": 400, "tolerance": {"texts": 0, "largest": 0.001, "mean": None}}
    assert [line[1] for line in view.checks(strict)][2] == "not known"
    assert [passed for *_, passed in view.checks(strict)] == [True, True, False, None, False]


def test_the_panel_offers_what_the_kind_of_version_has_and_hides_for_the_others(tmp_path):
    kinds = {"pirate/1": "lora", "full/2": "full", "far/3": "openai"}

    def details(reference):
        name, _, number = reference.partition("/")
        return SimpleNamespace(version=SimpleNamespace(name=name, number=int(number)), kind=kinds[reference]), None

    box = ExportBox(Exports(tmp_path), SimpleNamespace(details=details), [], None)
    formats = {reference: box.show("adapter", "pirate/1:base", reference)[2] for reference in kinds}
    assert [value for _, value in formats["pirate/1"].choices] == list(OFFERED)
    assert "adapter" not in [value for _, value in formats["full/2"].choices] and formats["full/2"].value == "merged"
    assert not box.show("merged", "far/3")[1].visible
    with pytest.raises(UserError, match="choose a version first"):
        box.export("", "merged", "pirate/1:base", "")
