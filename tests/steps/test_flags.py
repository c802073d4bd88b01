"""Flags are the config's fields: strictly typed, and a mistake is told in one line that names the flag."""

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import pytest

from data.errors import ConfigError
from demo.config import DemoConfig
from recipes.autopsy.config import AutopsyConfig
from recipes.noisy_labels.config import NoisyConfig
from recipes.pretraining.config import BaseConfig
from recipes.sft.config import TuneConfig
from serve.config import ServeConfig
from steps.cancel import CancelConfig
from steps.flags import field_docs, parse, usage
from steps.monitor import MonitorConfig
from steps.replay import ReplayConfig
from steps.ui import UiConfig
from steps.votes import VotesConfig

SLOW = ("torch", "transformers", "mlflow", "datasets", "peft", "matplotlib", "sklearn", "gradio", "openai", "fastapi",
        "sqlalchemy")  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Some settings."""

    count: int = 3
    """How many."""
    share: float = 0.5
    """Which part."""
    mode: Literal["slow", "fast"] = "slow"
    """How fast."""
    loud: bool = False
    """Whether it can be heard."""
    name: str = ""
    """What it is called."""


def test_no_flags_give_the_defaults():
    assert parse(Config, []) == Config()


def test_values_are_taken_after_a_space_and_after_an_equals_sign():
    argv = ["--count", "5", "--share=1e-3", "--mode", "fast", "--loud=yes", "--name", "a b=c"]
    assert parse(Config, argv) == Config(5, 1e-3, "fast", True, "a b=c")


def test_a_value_may_be_empty_or_begin_with_dashes():
    assert parse(Config, ["--name", "", "--count", "-1"]) == Config(count=-1)
    assert parse(Config, ["--name=", "--count=-1"]) == Config(count=-1)
    assert parse(Config, ["--name", "--count"]).name == "--count"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--count", "abc"], ["count", "whole number", "'abc'"]),
        (["--count", "2.5"], ["count", "whole number", "'2.5'"]),
        (["--share", "much"], ["share", "number", "'much'"]),
        (["--mode", "medium"], ["mode", "slow, fast", "'medium'"]),
        (["--loud", "maybe"], ["loud", "true or false", "'maybe'"]),
        (["--cuont", "5"], ["cuont", "did you mean count"]),
        (["--xyz", "5"], ["xyz", "count, share"]),
        (["count", "5"], ["count"]),
        (["--count"], ["count", "needs a value"]),
    ],
)
def test_a_wrong_flag_or_value_is_named(argv, words):
    with pytest.raises(ConfigError) as error:
        parse(Config, argv)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["--epochs", "abc"], "epochs"),
        (["--lr", "-1"], "lr"),
        (["--lr", "nan"], "lr"),
        (["--lr", "inf"], "lr"),
        (["--method", "qlora"], "method"),
        (["--method", "full", "--rank", "4"], "rank"),
        (["--warmup", "1"], "warmup"),
        (["--register_as", "a/b"], "register_as"),
        (["--dataset", ""], "dataset"),
        (["--epoch", "3"], "epochs"),
    ],
)
def test_a_wrong_setting_of_the_main_job_is_refused_by_its_name(argv, name):
    with pytest.raises(ConfigError, match=name):
        parse(TuneConfig, argv)


@pytest.mark.parametrize(
    "config",
    [
        TuneConfig,
        BaseConfig,
        UiConfig,
        DemoConfig,
        ServeConfig,
        VotesConfig,
        ReplayConfig,
        NoisyConfig,
        AutopsyConfig,
        MonitorConfig,
        CancelConfig,
    ],
)
def test_help_tells_every_flag_its_default_and_its_meaning(config):
    shown = usage(config)
    docs = field_docs(config)
    for name, field in config.__dataclass_fields__.items():
        assert f"--{name} {field.default or (field.default if field.default != '' else chr(39) * 2)}" in shown
        assert docs[name].endswith("."), f"{name} has no docstring, or one without a full stop"


def test_help_that_nobody_reads_to_its_end_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "steps.votes", "--help"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=120)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "step", ["pirate", "dpo", "base", "ui", "demo", "serve", "votes", "replay", "noisy", "autopsy", "monitor", "cancel"]
)
def test_help_imports_nothing_slow(step):
    # Wall clocks lie on a busy machine; the list of what was imported does not.
    command = [sys.executable, "-X", "importtime", "-m", f"steps.{step}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0, done.stderr
    assert "steps.flags" in imported
    assert not imported & set(SLOW)
