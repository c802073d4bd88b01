"""An export of a real version of the tiny base, read by the real consumers in processes of their own."""

import json
from pathlib import Path

import pytest

from data.errors import UserError
from steps.export import export
from tests.small_version import register_adapter


@pytest.fixture(scope="module")
def version(settle, tiny_base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        yield register_adapter(tiny_base, folder)


@pytest.mark.parametrize("to", ["merged", "adapter"])
def test_an_export_answers_as_its_version_does(version, to, tmp_path, capsys):
    target = tmp_path / to
    export(["--version", version, "--to", to, "--output", str(target), "--max_new_tokens", "8"])
    proof = json.loads((target / "proof.json").read_text())
    assert proof["passed"] and proof["same_prompts"] == proof["same_texts"] == proof["n"] >= 25
    assert 0 <= proof["largest"] < 1e-3
    assert [path.name for path in tmp_path.iterdir()] == [to]  # no partial folder is left


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "version names what is exported"),
        (["--version", "pirate/99"], "there is no version pirate/99"),
        (["--version", "pirate/1:base"], "name the version itself"),
        (["--version", "pirate/1", "--output", "."], "is there already"),
    ],
)
def test_what_can_not_be_exported_is_one_line(version, flags, message):
    before = sorted(Path().rglob("*.partial*"))
    with pytest.raises(UserError, match=message):
        export(flags)
    assert sorted(Path().rglob("*.partial*")) == before
