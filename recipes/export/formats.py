"""The table of export formats: what writes each, who reads it in the comparison, and what it may differ by."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recipes.export import bundle, gguf_converter, hub, modelfile, space
from recipes.export.config import ExportConfig
from recipes.export.layouts import Source, write_adapter, write_merged
from recipes.export.proof import EIGHT_BITS, EXACT, HALF, REPORTED, SAME_TEXTS, Tolerance

GGUF_NAME, UNCONVERTED = "model.gguf", "unconverted"


@dataclass(frozen=True)
class Format:
    """One format.

    ``write(source, folder, config)`` fills an empty folder; ``convert(folder, target, outtype)`` makes the export in
    ``target`` of these files once the model is out of memory, None where they are the export; ``consumer``: file name,
    without its ending, of the program in ``consumers`` that reads it; ``tolerance(config)``: what it may differ by;
    ``model``: the folder in it that the consumer reads; ``finish(source's name, folder, config)``: what follows once
    the comparison has passed.
    """

    write: Callable[[Source, Path, ExportConfig], None]
    consumer: str
    tolerance: Callable[[ExportConfig], Tolerance]
    model: str = ""
    convert: Callable[[Path, Path, str], None] | None = None
    finish: Callable[[str, Path, ExportConfig], None] = lambda name, folder, config: None


def _gguf_tolerance(config: ExportConfig) -> Tolerance:
    return {"q8_0": EIGHT_BITS, "q4_k_m": REPORTED}.get(config.outtype, HALF)


def write_unconverted(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write the model that a GGUF file is made of, an adapter merged into its base (dequantised, where it was GGUF)."""
    write_merged(source, folder / UNCONVERTED)


def convert(folder: Path, target: Path, outtype: str) -> None:
    """Make one GGUF file in ``target`` by llama.cpp's converter of what ``write_unconverted`` wrote to ``folder``.

    Raises:
        UserError: the converter can't be fetched, or does not know the architecture or the tokenizer.
    """
    gguf_converter.convert(folder / UNCONVERTED, target / GGUF_NAME, outtype)


def remove_unconverted(name: str, folder: Path, config: ExportConfig) -> None:
    """Remove what ``write_unconverted`` wrote: it stays until then for files of other types, to find a cause by."""
    shutil.rmtree(folder / UNCONVERTED)


def write_ollama(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write what a GGUF file is made of, and a Modelfile that names it, the template, stop tokens and longest context.

    Raises:
        UserError: the chat template can't be written as one of Go's.
    """
    from inference.batch import positions

    text = modelfile.modelfile(source.tokenizer, source.stops, positions(source.model), GGUF_NAME)
    write_unconverted(source, folder, config)
    (folder / "Modelfile").write_text(text, encoding="utf-8")


FORMATS: dict[str, Format] = {
    "merged": Format(lambda source, folder, config: write_merged(source, folder), "with_transformers", lambda _: EXACT),
    "adapter": Format(
        lambda source, folder, config: write_adapter(source, folder), "with_transformers", lambda _: EXACT
    ),
    "gguf": Format(write_unconverted, "with_llama_cpp", _gguf_tolerance, convert=convert, finish=remove_unconverted),
    "ollama": Format(write_ollama, "with_llama_cpp", _gguf_tolerance, convert=convert, finish=remove_unconverted),
    "hub": Format(hub.write, "with_transformers", lambda _: EXACT, finish=hub.upload),
    "space": Format(space.write, "with_gradio_client", lambda _: SAME_TEXTS),
    "bundle": Format(bundle.write, "with_transformers", lambda _: EXACT, model=bundle.MODEL, finish=bundle.pack),
}
