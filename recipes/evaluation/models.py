"""A registered version and its base, loaded one after the other with their tokenizer and chat template."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.errors import UserError
from inference.locations import ModelLocation
from recipes.version_models import load, locate
from registry.references import split
from registry.versions import Version


@dataclass(frozen=True)
class Sides:
    """The two models that an evaluation compares."""

    version: Version
    base: ModelLocation
    tuned: ModelLocation

    @property
    def reference(self) -> str:
        """The version's name and number, aliases resolved."""
        return self.version.reference


def find(reference: str) -> Sides:
    """Where the weights of a version and of its base are.

    Raises:
        UserError: there is no such version, its weights or its base's are unavailable, or it is a remote model.
    """
    version, part = split(reference)
    name = version.reference
    if part:
        raise UserError(f"version={reference}: name the version itself, {name}; its base is evaluated beside it")
    tuned = locate(name)
    if tuned.remote:
        raise UserError(f"version={reference} is a model behind an API, and only weights that are here are evaluated")
    return Sides(version, locate(f"{name}:base"), tuned)


def each_side(sides: Sides) -> Iterator[tuple[Any, Any]]:
    """Model and tokenizer of the base, then those of the version.

    A LoRA version is one PEFT model, whose adapter is off for the base. Other versions are loaded after their base is
    done with, so that only one of the two is in memory.

    Raises:
        UserError: the files can't be loaded.
    """
    if sides.tuned.info.kind != "lora":
        for location in (sides.base, sides.tuned):
            yield load(location)
        return
    model, tokenizer = load(sides.tuned)
    with model.disable_adapter():
        yield model, tokenizer
    yield model, tokenizer
