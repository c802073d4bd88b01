"""How the weights of a model are held in memory (the setting ``load``), and what ``auto`` is on this machine."""

import json
import os
import platform
import tempfile
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from inference.weights import stored_types

Load = Literal["auto", "bf16", "fp32", "4bit"]
#: A weight stored in one of these is the same number in bfloat16.
EXACT_IN_BF16 = {"BF16"}
#: By how much a bfloat16 product must be faster than a float32 one: casting the activations takes some of it.
WORTHWHILE = 1.3
ROWS, INPUTS, OUTPUTS = 256, 576, 1536  # of the product that is timed


def choose(load: str, folder: Path, device: str, frozen: bool = True, packed: bool = False) -> str:
    """``bf16``, ``fp32`` or ``4bit`` for the model in ``folder``; ``load`` itself unless that is ``auto``.

    ``auto`` is bf16 for frozen weights that are stored in bfloat16, where the device multiplies it faster, or where
    packed weights are used, which are fast anywhere; else fp32.
    """
    if load != "auto":
        return load
    exact = frozen and stored_types(folder) <= EXACT_IN_BF16
    return "bf16" if exact and (packed or is_bf16_fast(device)) else "fp32"


def is_bf16_fast(device: str) -> bool:
    """Whether ``device`` multiplies bfloat16 matrices clearly faster than float32 ones."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    rates = product_rates()
    return rates["bf16"] >= WORTHWHILE * rates["fp32"]


@cache
def product_rates() -> dict[str, float]:
    """GFLOP/s of this CPU's ``fp32`` and ``bf16`` matrix products; timed once a machine, kept in the cache folder."""
    import torch

    file = cache_folder() / "product_rates.json"
    machine = "|".join((platform.node(), _cpu(), torch.__version__, str(torch.get_num_threads())))
    try:
        known = json.loads(file.read_text())
        return {kind: float(known[machine][kind]) for kind in ("fp32", "bf16")}
    except (OSError, ValueError, LookupError, TypeError):
        pass
    rates = _time_products()
    _remember(file, machine, rates)
    return rates


def _time_products() -> dict[str, float]:
    """The best of several short turns of each, so that other work on the machine hits both alike."""
    import torch
    from torch.nn import functional as F

    pairs: dict[str, tuple[Any, Any]] = {}
    for kind, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        pairs[kind] = torch.ones(ROWS, INPUTS, dtype=dtype), torch.ones(OUTPUTS, INPUTS, dtype=dtype)
    best = dict.fromkeys(pairs, float("inf"))
    with torch.inference_mode():
        for _ in range(6):
            for kind, (x, weight) in pairs.items():
                start = perf_counter()
                F.linear(x, weight)
                best[kind] = min(best[kind], perf_counter() - start)
    return {kind: 2e-9 * ROWS * INPUTS * OUTPUTS / seconds for kind, seconds in best.items()}


def _remember(file: Path, machine: str, rates: dict[str, float]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            known = json.loads(file.read_text())
        except (OSError, ValueError):
            known = {}
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as stream:
            json.dump({**(known if isinstance(known, dict) else {}), machine: rates}, stream)
        os.replace(stream.name, file)
    except OSError:  # a cache that can't be written costs the next process a moment
        pass


def _cpu() -> str:
    """The processor's name, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cache_folder() -> Path:
    """Where what can be made anew is kept from run to run: ``PARLEY_CACHE``, or ``~/.cache/parley``."""
    return Path(os.environ.get("PARLEY_CACHE") or Path.home() / ".cache" / "parley").expanduser().resolve()
