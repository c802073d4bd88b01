"""Settings that make no sense are refused before anything starts, and the message names the flag."""

import dataclasses
import itertools

import pytest

from data.errors import ConfigError
from recipes.pretraining.config import BaseConfig
from recipes.sft.config import TuneConfig
from train import defaults
from train.config import FitConfig

NAN, INF = float("nan"), float("inf")
COUNTS = ("batch_size", "accumulation", "evals_per_epoch", "row_tokens", "max_length")
BAD_FIT = [
    *((name, value) for name in COUNTS for value in (0, -1)),
    *((name, value) for name in ("lr", "weight_decay", "clip") for value in (-1.0, -1e-9, NAN, INF, -INF)),
    *(("warmup", value) for value in (1.0, 1.5, -0.1, NAN, INF)),
    *(("beta2", value) for value in (1.0, -0.1, 2.0, NAN, INF)),
    *((name, -1) for name in ("epochs", "patience", "threads", "seed")),
    ("seed", 2**64),
]
BAD_TUNE = [
    *((name, value) for name in ("rank", "max_new_tokens") for value in (0, -1)),
    *(("alpha", value) for value in (0.0, -1.0, NAN, INF)),
    *(("dropout", value) for value in (1.0, 1.5, -0.1, NAN)),
    *((name, value) for name in ("dataset", "base_model", "targets", "register_as") for value in ("", "  ")),
    ("distributed", "fsdp"),  # the method is lora
    *(("register_as", value) for value in ("a/b", "a:b", "a@b", "a'b", 'a"b', "a?b", "a\nb", " a", "..", "a" * 201)),
]
BAD_BASE = [
    *((name, 0) for name in ("layers", "width", "vocabulary")),
    ("width", 100),
    ("vocabulary", 259),
    *((name, -1) for name in ("exercises", "dialogues", "everyday")),
    ("corpora", " "),
    ("output", ""),
    ("row_tokens", 257),
    ("lr", 0.0),
]


@pytest.mark.parametrize("config", [FitConfig, TuneConfig, BaseConfig])
def test_the_defaults_are_valid(config):
    assert config() == config(**dataclasses.asdict(config()))


@pytest.mark.parametrize("config", [TuneConfig, BaseConfig])
@pytest.mark.parametrize(("name", "value"), BAD_FIT)
def test_a_bad_training_setting_is_refused_by_name(config, name, value):
    with pytest.raises(ConfigError, match=rf"^{name}\b"):
        config(**{name: value})


@pytest.mark.parametrize(("name", "value"), BAD_TUNE)
def test_a_bad_tuning_setting_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}\b"):
        TuneConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), BAD_BASE)
def test_a_bad_setting_of_the_base_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=rf"^{name}\b"):
        BaseConfig(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("rank", 8), ("alpha", 16.0), ("dropout", 0.1), ("targets", "c_attn")])
def test_lora_settings_are_refused_where_all_weights_are_trained(name, value):
    assert getattr(TuneConfig(method="lora", **{name: value}), name) == value
    with pytest.raises(ConfigError, match=rf"^{name} only appl.* method=lora"):
        TuneConfig(method="full", **{name: value})


def test_all_misplaced_lora_settings_are_named_at_once():
    with pytest.raises(ConfigError, match="^rank, dropout only"):
        TuneConfig(method="full", rank=4, dropout=0.5)


@pytest.mark.parametrize(
    "good",
    [
        {"warmup": 0.0},
        {"warmup": 0.99},
        {"dropout": 0.99},
        {"clip": 0.0},
        {"weight_decay": 0.0},
        {"epochs": 1, "batch_size": 1, "max_length": 1, "row_tokens": 1},
        {"seed": 0},
        {"beta2": 0.0},
    ],
)
def test_values_at_the_edge_are_allowed(good):
    TuneConfig(**good)


def test_learning_rate_and_epochs_default_to_those_of_the_bases_size_and_method():
    small, large = defaults.complete(TuneConfig(), 2_600_000), defaults.complete(TuneConfig(), 134_500_000)
    assert (small.epochs, small.lr) == (8, 3e-3) and large.epochs < small.epochs and large.lr < small.lr
    assert defaults.complete(TuneConfig(method="full"), 2_600_000).lr < small.lr
    given = TuneConfig(lr=0.25, epochs=2)
    assert defaults.complete(given, 7_000_000_000) == given


def test_every_size_has_a_class_and_larger_ones_learn_more_slowly():
    assert (
        defaults.size_class(1) is defaults.SIZE_CLASSES[0] and defaults.size_class(10**13) is defaults.SIZE_CLASSES[-1]
    )
    for smaller, larger in itertools.pairwise(defaults.SIZE_CLASSES):
        assert smaller.below < larger.below and smaller.lora_lr > larger.lora_lr and smaller.full_lr > larger.full_lr


def test_every_checkpoint_of_an_adapter_is_kept_and_the_ends_of_a_full_model_unless_said_otherwise():
    assert TuneConfig(method="lora").keeps_all and not TuneConfig(method="full").keeps_all
    assert not TuneConfig(method="lora", keep="ends").keeps_all and TuneConfig(method="full", keep="all").keeps_all


@pytest.mark.parametrize("config", [TuneConfig, BaseConfig])
def test_a_config_never_changes_after_it_was_checked(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().epochs = 0
