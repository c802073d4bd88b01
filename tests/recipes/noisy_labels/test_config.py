"""Which model an API fine-tunes."""

import pytest

from data.errors import ConfigError
from recipes.noisy_labels.config import NoisyConfig


@pytest.mark.parametrize(
    ("settings", "served", "model"),
    [
        ({}, "bundled", "bundled"),
        ({"base_model": "smollm2"}, "smollm2", "smollm2"),
        ({"base_model": "smollm2", "model": "gpt-4o-mini"}, "smollm2", "gpt-4o-mini"),
    ],
)
def test_a_server_of_our_own_serves_the_base_that_is_named(settings, served, model):
    config = NoisyConfig(provider="parley", **settings)
    assert (config.served_base, config.remote_model) == (served, model)


def test_no_base_can_be_named_at_openai():
    with pytest.raises(ConfigError, match="base_model only applies to provider=local"):
        NoisyConfig(provider="openai", base_model="smollm2")


@pytest.mark.parametrize("epochs", [0, 51])
def test_an_api_is_told_how_many_epochs(epochs):
    with pytest.raises(ConfigError, match=f"epochs must be from 1 to 50 with an API, not {epochs}"):
        NoisyConfig(provider="parley", epochs=epochs)
