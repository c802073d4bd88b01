"""Seconds and peak memory of the exports of a registered version, their comparisons included.

``python -m benchmarks.export [--formats merged:f16,gguf:f16] [--max_new_tokens 32] pirate/1``: each format in a
process of its own. Seconds are of the clock and of the CPU, of all processes. The peak is of all processes of an export
together, 20 times a second: of each the memory that it has alone and its part of what it shares (PSS), without mapped
files, which the system takes back when it needs room, and with them. It is printed in GB and as a multiple of the
weights in float32, and then by process.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

FORMATS = "merged:f16,adapter:f16,gguf:f16,gguf:q8_0"
SAMPLED_S = 0.05


def main() -> None:
    """Print a line a format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("--max_new_tokens", default="32")
    parser.add_argument("version")
    given = parser.parse_args()
    weights = weights_bytes(given.version)
    with tempfile.TemporaryDirectory() as place:
        for form in given.formats.split(","):
            to, outtype = form.split(":")
            flags = ["--version", given.version, "--to", to, "--output", f"{place}/{to}-{outtype}"]
            flags += ["--max_new_tokens", given.max_new_tokens]
            measure(form, [*flags, *(["--outtype", outtype] if to in ("gguf", "ollama") else [])], weights)


def weights_bytes(version: str) -> int:
    """Bytes of the weights of a version's base in float32."""
    from safetensors import safe_open

    from recipes.version_models import locate

    base = locate(version).base
    assert base
    total = 0
    for file in base.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            total += sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.offset_keys())
    return 4 * total


def measure(form: str, flags: list[str], weights: int) -> None:
    """Export once and print what it took."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "steps.export", *flags]
    export = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with sampled(export.pid) as peak:
        output, errors = export.communicate()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{form}: {seconds:.0f} s, {cpu:.0f} CPU s, peak {peak.own / 1e9:.2f} GB ({peak.own / weights:.2f} times "
        f"the weights; with mapped files {peak.all / weights:.2f}), exit code {export.returncode}",
        "; ".join(f"{name} {size / 1e9:.2f} GB" for name, size in peak.parts),
        *[line for line in output.splitlines() if line.startswith("Compared")], errors[-200:], sep="\n  ", flush=True,
    )  # fmt: skip


@dataclass
class Peak:
    """The peak in bytes of the memory of some processes: ``all``, and what is no file (``own``) with its ``parts``."""

    all: int = 0
    own: int = 0
    parts: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def sampled(pid: int) -> Iterator[Peak]:
    """The peak of the memory of a process and its descendants."""
    import psutil

    peak, ended = Peak(), threading.Event()
    root = psutil.Process(pid)

    def sample() -> None:
        while not ended.wait(SAMPLED_S):
            try:
                found = [(called(each), memory(each.pid)) for each in [root, *root.children(recursive=True)]]
            except (psutil.Error, OSError):  # one of them has ended
                continue
            own = sum(each["own"] for _, each in found)
            if own > peak.own:
                peak.own, peak.parts = own, [(name, each["own"]) for name, each in found]
            peak.all = max(peak.all, sum(each["all"] for _, each in found))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def called(process: Any) -> str:
    """What a process runs: the first argument that names a module or script."""
    words = [word for word in process.cmdline()[1:] if not word.startswith("-")]
    return words[0].split("/")[-1][:40] if words else process.name()


def memory(pid: int) -> dict[str, int]:
    """The proportional set size of one process in bytes, and the part of it that is no file."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as stream:
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in stream if line.endswith("kB\n")}
    return {"all": sizes["Pss:"], "own": sizes["Pss_Anon:"]}


if __name__ == "__main__":
    main()
