"""Lineage names the code's commit and whether it was changed, and the packages that weights depend on."""

import os
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from registry import lineage


def git(folder: Path, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, in place of the project's own."""
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "--no-verify", "--message", "one")
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout):
    assert lineage.code_state() == {"git_commit": git(checkout, "rev-parse", "HEAD"), "git_dirty": "false"}


@pytest.mark.parametrize("file", ["code.py", "new.py"])
def test_a_changed_or_new_file_makes_it_dirty(checkout, file):
    (checkout / file).write_text("a = 2\n")
    assert lineage.code_state()["git_dirty"] == "true"


def test_a_folder_that_is_no_checkout_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lineage.code_state() == {"git_commit": "unknown", "git_dirty": "unknown"}


def test_a_machine_without_git_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert lineage.code_state() == {"git_commit": "unknown", "git_dirty": "unknown"}


def test_the_environment_names_what_weights_depend_on():
    found = lineage.environment()
    assert {"python", "platform", *lineage.RUNTIME} == found.keys()
    assert found["torch"] == metadata.version("torch")


def test_pins_are_what_is_installed_without_a_local_builds_suffix():
    pins = dict(line.split("==") for line in lineage.pins())
    assert set(pins) == set(lineage.RUNTIME)
    assert not any("+" in version for version in pins.values())
    assert all(metadata.version(name).startswith(version) for name, version in pins.items())
