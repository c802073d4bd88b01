"""A version as files in Transformers' and PEFT's layouts."""

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.chat_format import template_of
from data.errors import UserError
from inference.locations import ModelLocation
from recipes.export.answers import Reference
from train.base_model import HUB_IDS


@dataclass(frozen=True)
class Source:
    """A version in memory: ``model`` (a PEFT model where it is an adapter), its tokenizer, and what it answers."""

    location: ModelLocation
    model: Any
    tokenizer: Any
    reference: Reference

    @property
    def stops(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return self.reference.stops

    @property
    def name(self) -> str:
        """Name and number of the version."""
        return self.location.info.reference

    @property
    def base_name(self) -> str:
        """What ``from_pretrained`` finds the base by: its id on the hub where it has one, else as it was named."""
        return HUB_IDS.get(self.location.info.base_model, self.location.info.base_model)

    @property
    def is_adapter(self) -> bool:
        """Whether the version is an adapter beside its base."""
        return self.location.info.kind == "lora"


def write_merged(source: Source, folder: Path) -> None:
    """Write the whole model, an adapter merged into its base, in Transformers' layout.

    A merged adapter is written in float32: its base's 16-bit type can't hold the sums to rounding. Others keep the type
    of their files.
    """
    model = source.model.merge_and_unload() if source.is_adapter else source.model.to(_stored_type(source.location))
    _name_stops(model.generation_config, source)
    model.save_pretrained(folder)
    save_tokenizer(source, folder)


def write_adapter(source: Source, folder: Path) -> None:
    """Write the adapter in PEFT's layout, with tokenizer and chat template.

    Raises:
        UserError: the version is no adapter.
    """
    if not source.is_adapter:
        raise UserError(f"to=adapter: {source.location.info.reference} is a whole model; export it with to=merged")
    assert source.location.folder
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(source.location.folder / name, folder / name)
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "base_model_name_or_path": source.base_name}, indent=2))
    stops = copy.deepcopy(source.model.generation_config)
    _name_stops(stops, source)
    stops.save_pretrained(folder)
    save_tokenizer(source, folder)


def save_tokenizer(source: Source, folder: Path) -> None:
    """Write the tokenizer with the chat template by which the version answers."""
    source.tokenizer.chat_template = template_of(source.tokenizer)
    source.tokenizer.save_pretrained(folder)


def _name_stops(settings: Any, source: Source) -> None:
    settings.eos_token_id = sorted(source.stops)


def _stored_type(location: ModelLocation) -> Any:
    import torch

    from inference.weights import stored_types

    assert location.folder
    types = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    found = stored_types(location.folder)
    return types.get(next(iter(found)), torch.float32) if len(found) == 1 else torch.float32
