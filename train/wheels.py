"""Wheels of the package index, unpacked into a folder of their own; nothing is installed into this environment."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from data.errors import UserError

CONNECT_S = 5


def install(wheel: str, place: Path, sha256: str = "") -> None:
    """Unpack ``wheel`` (``name==version``), without its dependencies, into ``place``.

    Args:
        sha256: of the wheel, which the installer checks; empty for wheels that differ by platform.

    Raises:
        UserError: the package index does not give it, or it is not the pinned one.
    """
    pinned = place / f"requirements-{wheel}.txt"
    pinned.write_text(f"{wheel} --hash=sha256:{sha256}\n" if sha256 else f"{wheel}\n")
    hashes = ["--require-hashes"] if sha256 else []
    command = [*_installer(wheel), "--no-deps", *hashes, "--target", str(place), "--requirement", str(pinned)]
    env = {"UV_HTTP_TIMEOUT": str(CONNECT_S), "UV_HTTP_RETRIES": "1", **os.environ}  # uv has no flags for them
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)
    if done.returncode:
        raise UserError(f"the package index does not give {wheel}: {_reason(done.stderr, sha256)}")
    pinned.unlink()


def _installer(wheel: str) -> list[str]:
    """The command that installs packages: pip of this Python, or uv."""
    if importlib.util.find_spec("pip"):
        options = ["--no-compile", "--disable-pip-version-check", "--retries", "1", "--timeout", str(CONNECT_S)]
        return [sys.executable, "-m", "pip", "install", "--quiet", *options]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise UserError(f"{wheel} can't be fetched: neither pip nor uv is there")


def _reason(output: str, sha256: str) -> str:
    """What went wrong, in one line, from the error output of pip or uv."""
    if "DO NOT MATCH THE HASHES" in output or "hash mismatch" in output.lower():
        return f"what it gave has another SHA-256 than the pinned {sha256[:16]}"
    if "No space left" in output:
        return "no space left on the disk"
    if "connection broken" in output or "Failed to fetch" in output:
        return "it can't be reached"
    errors = [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
    return errors[-1].removeprefix("ERROR: ").strip().removeprefix("cause: ") if errors else "it said nothing"
