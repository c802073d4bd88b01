"""llama.cpp's quantizer of GGUF files: its program, or its shared library as other packages bring it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

from data.errors import UserError, last_line

PROGRAM = "llama-quantize"
#: The variable by which bindings of llama.cpp find its shared library.
LIBRARY = "LLAMA_CPP_LIB"
#: Packages that bring the library, and the folder in them that holds it.
PACKAGES = {"llama_cpp": "lib", "llama_cpp_py_sync": ""}
NAME = re.compile(r"(lib)?llama\.(so|dylib|dll)")
SCRIPT = Path(__file__).with_name("quantize_gguf.py")


def quantize(source: Path, file: Path, outtype: str) -> None:
    """Write the GGUF file ``source`` to ``file``, its matrices as ``outtype``, by llama.cpp's name of it.

    Raises:
        UserError: no quantizer is there, or it fails.
    """
    done = _run([*require(), str(source), str(file), outtype.upper()])
    if done.returncode:
        raise UserError(f"to=gguf: llama.cpp's quantizer failed: {last_line(done.stderr)}")


def require() -> list[str]:
    """The command that quantizes, without the files and the type: the program, else the library in a process.

    Raises:
        UserError: neither is there, or the library that LLAMA_CPP_LIB names can't be loaded.
    """
    program = shutil.which(PROGRAM)
    if program and not os.environ.get(LIBRARY):
        return [program]
    for library in _libraries():
        command = [sys.executable, "-I", str(SCRIPT), library]
        loaded = _run(command)
        if not loaded.returncode:
            return command
        if library == os.environ.get(LIBRARY):
            raise UserError(f"{LIBRARY}={library} can't be used: {last_line(loaded.stderr)}")
    raise UserError(
        f"outtype=q4_k_m needs llama.cpp's {PROGRAM} on PATH, or its library: llama-cpp-python installed, or {LIBRARY} "
        "set to its path; outtype=q8_0 needs nothing more"
    )


def _libraries() -> Iterator[str]:
    """Where llama.cpp's shared library may be, the one that was named first."""
    if os.environ.get(LIBRARY):
        yield os.environ[LIBRARY]
    for name, place in PACKAGES.items():
        spec = find_spec(name)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            yield from (str(path) for path in sorted(Path(folder, place).glob("*llama.*")) if NAME.fullmatch(path.name))
    found = find_library("llama")
    if found:
        yield found


def _run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, errors="replace")
