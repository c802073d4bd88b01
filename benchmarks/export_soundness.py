"""Sound exports of toy versions: does the comparison raise a false alarm?

``python -m benchmarks.export_soundness [pirate/1 ...]`` makes versions with random weights in a store of its own:
adapters and whole models of the bundled base (GPT-2 architecture) and of tiny Llama, Qwen3 and Gemma 3 models, and a
DPO version that is trained; it exports each in several formats and prints a line an export. The programs that read the
exports of these run in this process, which spares their start. Versions that are named (in the store of the
environment, SmolLM2's for instance) are exported in every format.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import UserError
from recipes.export import run
from tests.fixtures.consumers import consume

OWN = ("merged:f16", "adapter:f16", "gguf:f16", "gguf:bf16", "gguf:q8_0", "ollama:f16")
ADAPTER = ("merged:f16", "adapter:f16", "gguf:f16")
FORMATS = {"gemma3_text": ("merged:f16", "adapter:f16")}  # llama.cpp reads its weights with its own tokenizer only
ARCHITECTURES: dict[str, dict[str, Any]] = {"llama": {}, "qwen3": {"head_dim": 8}, "gemma3_text": {"head_dim": 8}}


def main(names: list[str]) -> None:
    """Print a line an export, and how many of them failed."""
    found = [result for name in names for result in exported(name, OWN)]
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "PARLEY_OUTPUTS": f"{place}/outputs"}
        os.chdir(place)
        run.consume = consume
        found += [result for name, formats in versions(Path(place)) for result in exported(name, formats)]
    print(f"{len(found)} exports, {found.count(False)} false alarms")


def exported(name: str, formats: tuple[str, ...]) -> Iterator[bool]:
    """Whether each export of the version passes."""
    from recipes.export.config import ExportConfig
    from steps.tracked_run import start_run

    for form in formats:
        to, outtype = form.split(":")
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            config = ExportConfig(name, to, outtype, output=f"{place}/exported", threads=1)  # type: ignore[arg-type]
            compared, problem = "", ""
            try:
                for line in run.export(config, start_run("export", config)):
                    compared = line if line.startswith("Compared") else compared
            except UserError as error:
                problem = f"FAILED {error} "
        print(f"{name} {form}: {time.perf_counter() - start:.0f} s, {problem}{compared}", flush=True)
        yield not problem


def versions(place: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Versions with the formats that they are exported in."""
    from steps.dpo import dpo
    from tests.inference.tiny import rope
    from train.base_model import BUNDLED

    yield random_version(BUNDLED, place, "gpt2-lora", "lora"), (*ADAPTER, "gguf:q8_0")
    yield random_version(BUNDLED, place, "gpt2-full", "full"), ("merged:f16", "gguf:f16")
    for kind, settings in ARCHITECTURES.items():
        base = rope(kind, BUNDLED, place / kind, positions=512, **settings)
        yield random_version(base, place, f"{kind}-lora", "lora"), FORMATS.get(kind, ADAPTER)
        yield random_version(base, place, f"{kind}-full", "full"), ("merged:f16",)
    dpo(["--base_model", "bundled", "--epochs", "1", "--suites", "none", "--register_as", "dpo"])
    yield "dpo/1", ADAPTER


def random_version(base: Path, place: Path, name: str, method: str) -> str:
    """Register ``base`` with a random adapter, or with all of its weights changed at random; returns its reference."""
    import torch
    from mlflow.tracking import MlflowClient

    from inference.weights import weights_digest
    from recipes.sft.config import TuneConfig
    from train import base_model, trainable

    model, tokenizer = base_model.load(base_model.resolve(str(base)), "cpu")
    model = trainable.make_trainable(model, TuneConfig(method=method, seed=5))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05 if method == "lora" else 0.01)
    checkpoint = place / name
    trainable.save(model, tokenizer, str(base), checkpoint)
    tags = {"kind": method, "base_model": str(base), "base_digest": weights_digest(base)}
    client = MlflowClient()
    client.create_registered_model(name)
    return f"{name}/{client.create_model_version(name, checkpoint.as_uri(), tags=tags).version}"


if __name__ == "__main__":
    main(sys.argv[1:])
