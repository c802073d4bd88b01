"""Seconds and peak memory of the exports of a registered version, their comparisons included.

``python -m benchmarks.export [--formats merged:f16,gguf:f16] pirate/1``: each format in a process of its own. Seconds
are of the clock and of the CPU, of all processes. The peak is of all processes of an export together, 20 times a
second: of each the memory that it has alone and its part of what it shares (PSS), mapped files included. It is printed
in GB and as a multiple of the weights in float32.
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
from math import prod
from typing import Any

FORMATS = "merged:f16,adapter:f16,gguf:f16,gguf:q8_0"
SAMPLED_S = 0.05


def main() -> None:
    """Print a line a format."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", default=FORMATS)
    parser.add_argument("version")
    given = parser.parse_args()
    weights = weights_bytes(given.version)
    with tempfile.TemporaryDirectory() as place:
        for form in given.formats.split(","):
            to, outtype = form.split(":")
            flags = ["--version", given.version, "--to", to, "--output", f"{place}/{to}-{outtype}"]
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
        f"{form}: {seconds:.0f} s, {cpu:.0f} CPU s, peak {peak['all'] / 1e9:.2f} GB ({peak['all'] / weights:.2f} times "
        f"the weights; without mapped files {peak['own'] / weights:.2f}), exit code {export.returncode}",
        *[line for line in output.splitlines() if line.startswith("Compared")], errors[-200:], sep="\n  ", flush=True,
    )  # fmt: skip


@contextmanager
def sampled(pid: int) -> Iterator[dict[str, int]]:
    """The peak of the memory of a process and its descendants in bytes, ``all`` and what is no file (``own``)."""
    import psutil

    peak, ended = {"all": 0, "own": 0}, threading.Event()
    root = psutil.Process(pid)

    def sample() -> None:
        while not ended.wait(SAMPLED_S):
            found: list[Any] = []
            try:
                found = [memory(each.pid) for each in [root, *root.children(recursive=True)]]
            except (psutil.Error, OSError):  # one of them has ended
                continue
            for name in peak:
                peak[name] = max(peak[name], sum(each[name] for each in found))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()


def memory(pid: int) -> dict[str, int]:
    """The proportional set size of one process in bytes, and the part of it that is no file."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as stream:
        sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in stream if line.endswith("kB\n")}
    return {"all": sizes["Pss:"], "own": sizes["Pss_Anon:"]}


if __name__ == "__main__":
    main()
