"""Sound exports of trained versions: does the comparison raise a false alarm?

``python -m benchmarks.export_soundness [--only NAME,...] [pirate/1 ...]`` trains versions in a store of its own: an
adapter, a whole model and a DPO adapter of the bundled base (GPT-2 architecture), and of tiny Llama, Qwen3 and Gemma 3
models, which begin with random weights, a whole model and an adapter on that. It exports each in several formats and
prints a line an export. The processes of these exports are this one, which spares their start.
``--only`` names some of them, such as llama or gpt2-lora. Versions that are named (in the store of the environment,
SmolLM2's for instance) are exported in every format.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.synthetic.terse_answers import FOLDER
from recipes.export import quantizer, run
from tests.fixtures.consumers import consume, write

ADAPTER = ("merged:f16", "adapter:f16", "gguf:f16", "gguf:q8_0")
WHOLE = ("merged:f16", "gguf:bf16", "gguf:q8_0")
OWN = ("merged:f16", "adapter:f16", "gguf:f16", "gguf:bf16", "gguf:q8_0", "ollama:f16")
#: Architectures of models that begin with random weights, and their settings. Of Gemma's own models up to 12B
#: query_pre_attn_scalar is head_dim, as here; in the last one it is another.
ARCHITECTURES: dict[str, dict[str, int]] = {
    "llama": {},
    "qwen3": {},
    "gemma3_text": {"query_pre_attn_scalar": 32},
    "gemma3_text-scaled": {"query_pre_attn_scalar": 256},
}
#: Rows that are new to a model that has learned the pirate ones.
WORDY = ("--dataset", f"{FOLDER}/wordy_train.jsonl", "--test_dataset", f"{FOLDER}/wordy_test.jsonl")
EPOCHS = {"full": "12", "lora": "4"}


def main() -> None:
    """Print a line an export, and how many of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="versions that are trained, comma-separated; empty trains all")
    parser.add_argument("versions", nargs="*")
    given = parser.parse_args()
    found = [result for name in given.versions for result in exported(name, (*OWN, *quantised()))]
    if not given.versions or given.only:
        with tempfile.TemporaryDirectory() as place:
            os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{place}/mlflow.db", "PARLEY_OUTPUTS": f"{place}/outputs"}
            os.chdir(place)
            run.in_own_process, run.consume = write, consume
            only = tuple(filter(None, given.only.split(",")))
            found += [result for name, formats in versions(Path(place), only) for result in exported(name, formats)]
    print(f"{len(found)} exports, {found.count(False)} false alarms")


def quantised() -> tuple[str, ...]:
    """The format that needs llama.cpp's quantizer, where that is there."""
    try:
        quantizer.require()
    except UserError:
        return ()
    return ("gguf:q4_k_m",)


def exported(name: str, formats: tuple[str, ...]) -> Iterator[bool]:
    """Whether each export of the version passes."""
    from recipes.export.config import ExportConfig
    from registry import runs

    for form in formats:
        to, outtype = form.split(":")
        start = time.perf_counter()
        lines: list[str] = []
        with tempfile.TemporaryDirectory() as place:
            config = ExportConfig(name, to, outtype, output=f"{place}/exported", threads=1)  # type: ignore[arg-type]
            problem = ""
            try:
                run.export_version(config, runs.start("export", Path(place)), lines.append)
            except UserError as error:
                problem = f"FAILED {error} "
        compared = next((line for line in lines if line.startswith("Compared")), "")
        print(f"{name} {form}: {time.perf_counter() - start:.0f} s, {problem}{compared}", flush=True)
        yield not problem


def versions(place: Path, only: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Versions with the formats that they are exported in; ``only``: those whose name begins with one of these."""
    for name, make in {"gpt2-lora": gpt2("lora"), "gpt2-full": gpt2("full"), "gpt2-dpo": dpo}.items():
        if not only or name.startswith(only):
            make(name)
            yield f"{name}/1", WHOLE if name == "gpt2-full" else (*ADAPTER, *quantised())
    for kind in ARCHITECTURES:
        if not only or kind.startswith(only):
            train(f"{kind}-full", str(untrained(kind, place / kind)), "full", "--lr", "3e-3")
            yield f"{kind}-full/1", WHOLE
            train(f"{kind}-lora", weights_of(f"{kind}-full/1"), "lora", *WORDY)
            yield f"{kind}-lora/1", ADAPTER


def gpt2(method: str) -> Callable[[str], None]:
    """Trains a version of the bundled base under the name given to it."""
    return lambda name: train(name, "bundled", method)


def train(name: str, base: str, method: str, *flags: str) -> None:
    """Fine-tune ``base``, on the pirate rows unless ``flags`` say otherwise, and register it as ``name``."""
    from steps.pirate import pirate

    pirate([
        "--base_model", base, "--method", method, "--epochs", EPOCHS[method], "--suites", "none", "--keep", "ends",
        "--max_new_tokens", "24", "--threads", "1", "--register_as", name, *flags,
    ])  # fmt: skip


def dpo(name: str) -> None:
    """Fine-tune the bundled base on preferences, at the default settings, and register it as ``name``."""
    from steps import dpo

    dpo.dpo(["--base_model", "bundled", "--suites", "none", "--threads", "1", "--register_as", name])


def weights_of(version: str) -> str:
    """The folder of a whole model's weights."""
    from recipes.version_models import locate

    return str(locate(version).folder)


def untrained(kind: str, folder: Path) -> Path:
    """A small model of ``kind`` with fresh weights, and the bundled base's tokenizer."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from train.base_model import BUNDLED

    tokenizer: Any = AutoTokenizer.from_pretrained(BUNDLED)
    torch.manual_seed(3)
    config = AutoConfig.for_model(
        kind.partition("-")[0], vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=512, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        **ARCHITECTURES[kind],
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
