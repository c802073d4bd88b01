"""A registered version and its base, loaded one after the other with their tokenizer and chat template."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from data.chat_format import direct_template
from data.errors import UserError
from inference.loading import load_model, load_tokenizer
from inference.locations import ModelLocation
from inference.precision import choose
from registry.references import split
from registry.resolver import Resolver
from registry.versions import Version
from train import base_model


@dataclass(frozen=True)
class Sides:
    """The two models that an evaluation compares."""

    version: Version
    base: ModelLocation
    tuned: ModelLocation

    @property
    def reference(self) -> str:
        """The version's name and number, aliases resolved."""
        return f"{self.version.name}/{self.version.number}"


def find(reference: str) -> Sides:
    """Where the weights of a version and of its base are.

    Raises:
        UserError: there is no such version, its weights or its base's are unavailable, or it is a remote model.
    """
    version, part = split(reference)
    name = f"{version.name}/{version.number}"
    if part:
        raise UserError(f"version={reference}: name the version itself, {name}; its base is evaluated beside it")
    tuned = locate(name)
    if tuned.remote:
        raise UserError(f"version={reference} is a model behind an API, and only weights that are here are evaluated")
    return Sides(version, locate(f"{name}:base"), tuned)


def locate(reference: str) -> ModelLocation:
    """Where the weights of the model are that ``reference`` names.

    Raises:
        UserError: it names nothing, or its weights are unavailable.
    """
    return Resolver(lambda base: base_model.resolve(base).folder).place(reference)


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


def load(location: ModelLocation) -> tuple[Any, Any]:
    """The model at ``location`` (a PEFT model where it is a LoRA version) and its tokenizer.

    Raises:
        UserError: the files can't be loaded.
    """
    from peft import PeftModel

    assert location.folder and location.base and location.tokenizer
    device = base_model.pick_device()
    model = load_model(location.base, device, choose(location.load, location.base, device))
    if location.info.kind == "lora":
        model = PeftModel.from_pretrained(model, str(location.folder)).eval()
    tokenizer = load_tokenizer(location.tokenizer)
    tokenizer.chat_template = location.template or direct_template(tokenizer)
    return model, tokenizer
