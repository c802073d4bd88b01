"""Peak memory of loading a model, next to the size of its weights as they are held.

    python -m benchmarks.load_memory --base FOLDER [--loads bf16,fp32,4bit]

Each is loaded in a process of its own with all libraries imported, and then every weight is read once. Two peaks are
printed, in multiples of the weights' bytes: of all resident memory, and of its anonymous part. The difference is pages
of the safetensors file, which is mapped: the system can drop them at any time, so the bound is on the anonymous part.
"""

import argparse
import multiprocessing
import threading
from pathlib import Path
from typing import Any

BOUND = 1.15


def measure(folder: Path, held: str) -> tuple[float, float, float]:
    """(bytes of the weights, by how many bytes the peak of resident memory rose, and of its anonymous part)."""
    import peft  # noqa: F401  (imported before, so that only the weights are counted)
    import torch

    from inference.loading import load_model, load_tokenizer

    torch.set_num_threads(1)
    load_tokenizer(folder)
    _load_small(held)
    before = _memory()
    peaks, ended = [before], threading.Event()
    watch = threading.Thread(target=_watch, args=(peaks, ended))
    watch.start()
    model: Any = load_model(folder, "cpu", held)
    for parameter in model.parameters():
        parameter.detach().flatten()[::512].sum().item()
    ended.set()
    watch.join()
    resident, anonymous = (max(each) - start for each, start in zip(zip(*peaks, strict=True), before, strict=True))
    return sum(p.numel() * p.element_size() for p in model.parameters()), resident, anonymous


def _watch(peaks: list[tuple[int, int]], ended: threading.Event) -> None:
    while not ended.wait(0.001):
        peaks.append(_memory())


def _memory() -> tuple[int, int]:
    """Bytes of resident memory now, and of its anonymous part."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) * 1024, int(lines["RssAnon"].split()[0]) * 1024


def _load_small(held: str) -> None:
    """Load the bundled base, so that what is imported on the way is there already."""
    from inference.loading import load_model
    from train.base_model import BUNDLED

    load_model(BUNDLED, "cpu", held)


def main() -> None:
    """Print a line for each way of holding the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--loads", default="bf16,fp32,4bit")
    args = parser.parse_args()
    for held in args.loads.split(","):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            weights, resident, anonymous = pool.apply(measure, (args.base, held))
        met = "met" if anonymous <= BOUND * weights else "missed"
        print(f"{held:<6}{weights / 1e6:>8.0f} MB of weights; peak of resident memory {resident / weights:.2f}x, "
              f"of its anonymous part {anonymous / weights:.2f}x ({met})")  # fmt: skip


if __name__ == "__main__":
    main()
