"""Seconds and peak memory of the exports of a registered version, their comparisons included.

``python -m benchmarks.export pirate/1``: each format in a process of its own. The peak is of the largest single process
(that of the step, or of the consumer), as a multiple of the weights in float32.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FORMATS = (("merged", "f16"), ("adapter", "f16"), ("gguf", "f16"), ("gguf", "q8_0"))


def main(version: str) -> None:
    """Print a line a format."""
    weights = 0
    with tempfile.TemporaryDirectory() as place:
        for to, outtype in FORMATS:
            target, start = Path(place) / f"{to}-{outtype}", time.perf_counter()
            flags = ["--version", version, "--to", to, "--outtype", outtype, "--output", str(target)]
            done = subprocess.run([sys.executable, "-m", "steps.export", *flags], capture_output=True, text=True)
            seconds = time.perf_counter() - start
            if to == "merged":
                weights = sum(path.stat().st_size for path in target.glob("*.safetensors"))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024  # of all so far
            times = f"{peak / weights:.1f} times the weights" if weights else f"{peak / 1e9:.1f} GB"
            print(f"{to} {outtype}: {seconds:.0f} s, peak so far {times}, exit code {done.returncode}", flush=True)
            print(*[line for line in done.stdout.splitlines() if line.startswith("Compared")], done.stderr[-200:])


if __name__ == "__main__":
    main(sys.argv[1])
