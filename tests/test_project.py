"""One spelling and one default everywhere, one list of pins, and documents that say what is there."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from docs.generate import CONFIGS
from recipes.sft.config import TuneConfig
from steps.flags import parse
from tests.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = list(CONFIGS.items())


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


PROJECT = yaml.safe_load(read("MLproject"))
README = read("README.md")


# Parameters


def test_every_entry_point_has_a_config_and_a_step():
    assert list(PROJECT["entry_points"]) == list(CONFIGS)
    assert all((ROOT / "steps" / f"{name}.py").is_file() for name in CONFIGS)


@pytest.mark.parametrize(("entry", "config"), ENTRIES)
def test_parameters_have_the_names_defaults_and_types_of_the_config(entry, config):
    words = {int: "int", float: "float"}
    hints = get_type_hints(config)
    expected = {f.name: {"type": words.get(hints[f.name], "string"), "default": spelled(f.default)}
                for f in fields(config)}  # fmt: skip
    assert PROJECT["entry_points"][entry]["parameters"] == expected


def spelled(default):
    """A default as MLproject has it: MLflow knows no truth values, the flags read these words."""
    return str(default).lower() if isinstance(default, bool) else default


@pytest.mark.parametrize(("entry", "config"), ENTRIES)
def test_the_command_passes_every_parameter_to_the_flag_of_its_name(entry, config):
    words = PROJECT["entry_points"][entry]["command"].split()
    assert words[:3] == ["python", "-m", f"steps.{entry}"]
    passed = dict(zip(words[3::2], words[4::2], strict=True))
    assert passed == {f"--{f.name}": f"{{{f.name}}}" for f in fields(config)}


@pytest.mark.parametrize(("entry", "config"), ENTRIES)
def test_what_mlflow_makes_of_the_defaults_is_the_default_config(entry, config):
    assert argv_of(entry, {}) == config()


def test_what_mlflow_makes_of_odd_values_arrives_as_it_was_given():
    odd = {"dataset": "../my pairs; echo 'no' $HOME.json", "test_dataset": "", "lr": "1e-3", "targets": '"a" b'}
    assert argv_of("pirate", odd) == TuneConfig(**{**odd, "lr": 1e-3})


def argv_of(entry, given):
    """The config that a step gets when MLflow runs it with these -P values."""
    from mlflow.projects import _project_spec

    command = _project_spec.load_project(str(ROOT)).get_entry_point(entry).compute_command(given, None)
    shell = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True)
    words = shell.stdout.split("\0")[:-1]
    assert words[:3] == shlex.split(f"python -m steps.{entry}")
    return parse(CONFIGS[entry], words[3:])


def test_a_wrong_parameter_ends_a_run_from_any_folder_in_one_line_and_leaves_no_run(tmp_path):
    done = mlflow_run(tmp_path, "-P", "epochs=-1")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if "epochs" in line and "at least 0" in line], done.stderr
    assert "Traceback" not in done.stderr

    def runs():
        with sqlite3.connect(tmp_path / "mlflow.db") as rows:
            return rows.execute("select status, lifecycle_stage from runs").fetchall()

    wait_until(lambda: runs() == [("FAILED", "deleted")], "the end of the run that mlflow made")


def mlflow_run(folder, *extra):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "-e", "pirate", "--env-manager", "local", *extra]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


def test_a_relative_store_that_would_be_two_stores_is_refused(tmp_path):
    env = {**os.environ, "MLFLOW_TRACKING_URI": "sqlite:///nowhere.db", "MLFLOW_RUN_ID": "0" * 32}
    command = [sys.executable, "-m", "steps.pirate"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "sqlite:///nowhere.db" in done.stderr and "whole path" in done.stderr
    assert not list(tmp_path.iterdir())


# Environments


def test_all_environments_take_the_one_list_of_pins():
    python_env, conda = yaml.safe_load(read("python_env.yaml")), yaml.safe_load(read("conda.yaml"))
    assert PROJECT["python_env"] == "python_env.yaml"
    assert python_env["dependencies"] == ["-r requirements.txt"]
    assert conda["dependencies"][-1] == {"pip": ["-r requirements.txt"]}
    assert f"python={python_env['python']}" in conda["dependencies"]
    assert {"-r requirements.txt", "-r requirements-docs.txt"} <= set(read("requirements-dev.txt").splitlines())


def test_make_ci_and_documents_name_the_same_versions_of_python():
    accepted = "(3, 11) <= sys.version_info[:2] <= (3, 13)"
    for name in ("Makefile", ".ci/run"):
        assert accepted in read(name)
        assert "python3.11 python3.12 python3.13 python3 python" in read(name)
    assert "Python 3.11, 3.12 or 3.13" in README and "Python 3.11, 3.12 or 3.13" in read("docs/how-to/run.md")
    assert eval(accepted, {"sys": sys})


def test_every_requirement_is_pinned_exactly_and_named_once():
    names = [
        "requirements.txt",
        *(f"requirements-{kind}.txt" for kind in ("dev", "4bit", "ray", "postgres", "docs", "eval")),
    ]
    lines = [line for name in names for line in read(name).splitlines()]
    pins = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9-]+==[0-9][\w.]*", pin)] == []
    names = [pin.partition("==")[0].lower() for pin in pins]
    assert len(names) == len(set(names))


def test_the_project_can_not_be_installed_and_mlflow_finds_its_file():
    assert "build-system" not in tomllib.loads(read("pyproject.toml"))
    assert [path.name for path in ROOT.iterdir() if path.name.lower() == "mlproject"] == ["MLproject"]


def test_imports_run_one_way():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# Documents


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 220


def code():
    """Everything in the README that is set as code."""
    fenced = re.findall(r"```\w*\n(.*?)```", README, re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))
    return "\n".join([*fenced, *inline])


def test_every_make_target_that_a_document_names_exists():
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?<![\w-])make ([a-z]+)\b", code() + read("CONTRIBUTING.md")))
    assert {"pirate", "test"} < named <= targets
    assert {"pirate", "test", "ui", "demo", "serve", "check", "base", "clean"} <= targets


def test_every_entry_point_and_parameter_that_the_readme_names_exists():
    text = code()
    assert set(re.findall(r"mlflow run \S+ -e (\w+)", text)) <= set(CONFIGS)
    for entry, flags in re.findall(r"(?:-e |make )(\w+)(.*)", text):
        named = set(re.findall(r"-P ([a-z]\w*)=", flags))
        assert not named or named <= set(CONFIGS[entry].__dataclass_fields__)
    assert set(re.findall(r"python -m steps\.(\w+)", text)) <= set(CONFIGS)
    for entry, flags in re.findall(r"(?:-m steps\.|make )(\w+) (.*)", text):
        named = set(re.findall(r"--(\w+)", flags)) - {"help"}
        assert not named or named <= set(CONFIGS[entry].__dataclass_fields__)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_link_in_a_document_leads_somewhere(name):
    links = re.findall(r"\]\(([^)\s]+)\)", read(name))
    assert [link for link in links if "://" not in link and not (ROOT / link.partition("#")[0]).exists()] == []


def test_the_ci_runs_the_readmes_test_command():
    lines = read(".ci/run").splitlines()
    assert lines[-1] == "make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "make test" in README


def test_decisions_are_numbered_without_gaps():
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))
