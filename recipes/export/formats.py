"""The table of export formats: what writes each, who reads it in the comparison, and what it may differ by."""

import copy
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.chat_format import template_of
from data.errors import UserError
from inference.batch import positions
from inference.locations import ModelLocation
from recipes.export import gguf_converter, modelfile
from recipes.export.config import ExportConfig
from recipes.export.proof import EIGHT_BITS, EXACT, HALF, Tolerance

GGUF_NAME = "model.gguf"


@dataclass(frozen=True)
class Source:
    """A version in memory: ``model`` (a PEFT model where it is an adapter), with its tokenizer and stop tokens."""

    location: ModelLocation
    model: Any
    tokenizer: Any
    stops: frozenset[int]

    @property
    def is_adapter(self) -> bool:
        """Whether the version is an adapter beside its base."""
        return self.location.info.kind == "lora"


@dataclass(frozen=True)
class Format:
    """One format.

    ``write(source, folder, config)`` fills an empty folder; ``consumer``: file name, without its ending, of the program
    in ``consumers`` that reads it; ``tolerance(config)``: what it may differ by; ``needs_base``: whether it is read
    together with the version's base.
    """

    write: Callable[[Source, Path, ExportConfig], None]
    consumer: str
    tolerance: Callable[[ExportConfig], Tolerance]
    needs_base: bool = False


def write_merged(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write the whole model, an adapter merged into its base, in Transformers' layout.

    A merged adapter is written in float32: its base's 16-bit type can't hold the sums to rounding. Others keep the type
    of their files.
    """
    model = source.model.merge_and_unload() if source.is_adapter else source.model.to(_stored_type(source.location))
    _name_stops(model.generation_config, source)
    model.save_pretrained(folder)
    save_tokenizer(source, folder)


def write_adapter(source: Source, folder: Path, config: ExportConfig) -> None:
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
    path.write_text(json.dumps({**settings, "base_model_name_or_path": source.location.info.base_model}, indent=2))
    stops = copy.deepcopy(source.model.generation_config)
    _name_stops(stops, source)
    stops.save_pretrained(folder)
    save_tokenizer(source, folder)


def save_tokenizer(source: Source, folder: Path) -> None:
    """Write the tokenizer with the chat template by which the version answers."""
    source.tokenizer.chat_template = template_of(source.tokenizer)
    source.tokenizer.save_pretrained(folder)


def _gguf_tolerance(config: ExportConfig) -> Tolerance:
    return EIGHT_BITS if config.outtype == "q8_0" else HALF


def _name_stops(settings: Any, source: Source) -> None:
    settings.eos_token_id = sorted(source.stops)


def _stored_type(location: ModelLocation) -> Any:
    import torch

    from inference.weights import stored_types

    assert location.folder
    types = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
    found = stored_types(location.folder)
    return types.get(next(iter(found)), torch.float32) if len(found) == 1 else torch.float32


def write_gguf(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write one GGUF file by llama.cpp's converter, an adapter merged into its base (dequantised, where it was GGUF).

    Raises:
        UserError: the converter can't be fetched, or does not know the architecture or the tokenizer.
    """
    with tempfile.TemporaryDirectory(prefix=".merged-", dir=folder) as place:
        write_merged(source, Path(place), config)
        gguf_converter.convert(Path(place), folder / GGUF_NAME, config.outtype)


def write_ollama(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write a GGUF file and a Modelfile that names it, the template, the stop tokens and the longest context.

    Raises:
        UserError: as ``write_gguf``, or the chat template can't be written as one of Go's.
    """
    text = modelfile.modelfile(source.tokenizer, source.stops, positions(source.model), GGUF_NAME)
    write_gguf(source, folder, config)
    (folder / "Modelfile").write_text(text, encoding="utf-8")


FORMATS: dict[str, Format] = {
    "merged": Format(write_merged, "with_transformers", lambda config: EXACT),
    "adapter": Format(write_adapter, "with_transformers", lambda config: EXACT, needs_base=True),
    "gguf": Format(write_gguf, "with_llama_cpp", _gguf_tolerance),
    "ollama": Format(write_ollama, "with_llama_cpp", _gguf_tolerance),
}
