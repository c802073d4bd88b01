"""Faults planted in real exported files of toy models, read by Transformers and by llama.cpp: each is named."""

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data.chat_format import PLAIN_TEMPLATE
from data.conversation import Row
from inference.locations import ModelLocation
from inference.transcript import ModelInfo
from recipes.export.answers import Reference, reference_answers
from recipes.export.layouts import Source, write_merged
from recipes.export.proof import EIGHT_BITS, EXACT, HALF, Proof, Tolerance, compare
from recipes.export.rounding import rounding_cause
from tests.fixtures.consumers import lines_and_value, read_by
from tests.fixtures.gguf_files import write as write_gguf

PROMPTS = ("Hello there, friend.", "Where is the boat?", "How many cats do I have?")
NEW_TOKENS = 6


@dataclass(frozen=True)
class Exported:
    """A toy version: its adapter beside its base, what it answers, and the folder of its merged export."""

    source: Source
    reference: Reference
    folder: Path


@pytest.fixture(scope="module")
def toy(tiny_base, tmp_path_factory) -> Exported:
    """A random adapter on the toy base; prompts begin with a BOS, and answers end with a token that it says."""
    import torch

    from recipes.sft.config import TuneConfig
    from train import base_model, trainable

    model, tokenizer = base_model.load(base_model.resolve(str(tiny_base)), "cpu")
    tokenizer.bos_token = "<|pad|>"
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    model = trainable.make_trainable(model, TuneConfig(seed=5)).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    rows = [Row(((prompt, ""),)) for prompt in PROMPTS]
    free = reference_answers(model, tokenizer, rows, NEW_TOKENS, frozenset())
    stops = frozenset({free.answers.tokens[0][2]})  # a token that it says, as the end of its answers
    reference = reference_answers(model, tokenizer, rows, NEW_TOKENS, stops)
    info = ModelInfo("toy/1", "lora", "", "", "", 0)
    source = Source(ModelLocation(info, tiny_base, tiny_base, tiny_base), model, tokenizer, reference)
    folder = tmp_path_factory.mktemp("toy") / "merged"
    write_merged(source, folder)
    return Exported(source, reference, folder)


def proof_by(consumer: str, folder: Path, reference: Reference, tolerance: Tolerance, bos: int | None) -> Proof:
    """What the program ``consumer`` makes of the export in ``folder``, compared with ``reference``."""
    task = {
        "folder": str(folder),
        "base": "",
        "messages": reference.messages,
        "tokens": reference.answers.tokens,
        "max_new_tokens": NEW_TOKENS,
        "threads": 1,
        "longest_prompt": max(map(len, reference.answers.prompts)),
    }
    return compare(reference, read_by(consumer, task), tolerance, bos)


def edited(folder: Path, name: str, edit: Callable[[Any], Any]) -> None:
    path = folder / name
    found = json.loads(path.read_text()) if name.endswith(".json") else path.read_text()
    changed = edit(found)
    path.write_text(json.dumps(changed) if name.endswith(".json") else changed)


def with_weights(folder: Path, change: Callable[[str, Any], Any]) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = load_file(path)
    save_file({name: change(name, tensor).contiguous() for name, tensor in weights.items()}, path, {"format": "pt"})


def in_half(folder: Path) -> None:
    """One matrix grows beyond what float16 holds, and all are kept in float16."""
    with_weights(folder, lambda name, tensor: (tensor * (1e6 if "c_proj" in name else 1)).half())
    edited(folder, "config.json", lambda found: {**found, "dtype": "float16"})


def resized(folder: Path) -> None:
    import torch

    def longer(name: str, tensor: Any) -> Any:
        return torch.cat([tensor, tensor[:8]]) if name.endswith("wte.weight") else tensor

    with_weights(folder, longer)
    edited(folder, "config.json", lambda found: {**found, "vocab_size": found["vocab_size"] + 8})


def rounded(tensor: Any) -> Any:
    """Four bits a weight, with one scale a matrix."""
    scale = tensor.abs().max() / 7
    return (tensor / scale).round() * scale if tensor.ndim > 1 else tensor


MERGED_FAULTS: dict[str, Callable[[Path], None]] = {
    "template differs": lambda folder: edited(folder, "chat_template.jinja", lambda text: text.replace("|> ", "|>")),
    "BOS twice": lambda folder: edited(folder, "chat_template.jinja", lambda text: "{{ bos_token }}" + text),
    "end token not a stop": lambda folder: edited(
        folder, "generation_config.json", lambda found: {**found, "eos_token_id": 0}
    ),
    "embedding resized": resized,
    "dtype overflow": in_half,
    "the weights differ": lambda folder: with_weights(folder, lambda name, tensor: rounded(tensor)),
}


def test_a_sound_merged_export_has_no_cause(toy):
    proof = proof_by("with_transformers", toy.folder, toy.reference, EXACT, toy.source.tokenizer.bos_token_id)
    assert (proof.cause, proof.same_texts, proof.unknown) == ("", len(PROMPTS), 0)
    assert {len(each) for each in toy.reference.answers.tokens} != {NEW_TOKENS}  # some answers end by themselves


@pytest.mark.parametrize("cause", MERGED_FAULTS)
def test_a_fault_in_a_merged_export_is_named(toy, cause, tmp_path):
    folder = shutil.copytree(toy.folder, tmp_path / "merged")
    MERGED_FAULTS[cause](folder)
    proof = proof_by("with_transformers", folder, toy.reference, EXACT, toy.source.tokenizer.bos_token_id)
    assert proof.cause == cause


def test_an_adapter_that_was_not_merged_is_named(toy, tiny_base, tmp_path):
    folder = shutil.copytree(toy.folder, tmp_path / "merged")
    shutil.copy(tiny_base / "model.safetensors", folder)
    proof = proof_by("with_transformers", folder, toy.reference, EXACT, toy.source.tokenizer.bos_token_id)
    assert proof.cause == "adapter not merged"


# GGUF files, read by llama.cpp's server


@dataclass(frozen=True)
class ToyLlama:
    """A random Llama, ``merged`` with a random adapter and as it was, a tokenizer, and what the merged one answers."""

    merged: Any
    base: Any
    tokenizer: Any
    reference: Reference


@pytest.fixture(scope="module")
def toy_llama(llama, tokenizer) -> ToyLlama:
    import torch

    from recipes.sft.config import TuneConfig
    from train import trainable

    model = trainable.make_trainable(llama(len(tokenizer), intermediate_size=64), TuneConfig(seed=5)).eval()
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    rows = [Row(((prompt, ""),)) for prompt in PROMPTS]
    with_template = copy.deepcopy(tokenizer)
    with_template.chat_template = "{{ bos_token }}" + PLAIN_TEMPLATE
    free = reference_answers(model, with_template, rows, NEW_TOKENS, frozenset())
    ended = copy.deepcopy(with_template)  # the end of an answer is a token that the model says
    ended.add_special_tokens({"eos_token": ended.convert_ids_to_tokens(free.answers.tokens[0][1])})
    reference = reference_answers(model, ended, rows, NEW_TOKENS, frozenset())
    base = copy.deepcopy(model).unload()
    return ToyLlama(model.merge_and_unload(), base, ended, reference)


def widened(model: Any) -> Any:
    model = copy.deepcopy(model)
    model.resize_token_embeddings(model.config.vocab_size + 8)
    return model


def overflowing(model: Any) -> Any:
    import torch

    model = copy.deepcopy(model)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(1e6)
    return model


def scaled(model: Any) -> Any:
    import torch

    model = copy.deepcopy(model)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(4)
    return model


GGUF_FAULTS: dict[str, Callable[[ToyLlama], dict[str, Any]]] = {
    "": lambda toy: {"kind": "F16"},
    "template differs": lambda toy: {"template": toy.tokenizer.chat_template.replace("User: ", "User:")},
    "BOS twice": lambda toy: {"template": "{{ bos_token }}" + toy.tokenizer.chat_template},
    "end token not a stop": lambda toy: {"end": 0},
    "embedding resized": lambda toy: {"model": widened(toy.merged)},
    "dtype overflow": lambda toy: {"model": overflowing(toy.merged), "kind": "F16"},
    "adapter not merged": lambda toy: {"model": toy.base},
    "the weights differ": lambda toy: {"model": scaled(toy.merged)},
}


@pytest.mark.parametrize("cause", GGUF_FAULTS)
def test_a_fault_in_a_gguf_file_is_named_and_a_sound_one_has_no_cause(toy_llama, cause, tmp_path):
    proof = proof_of_gguf(toy_llama, tmp_path, HALF, **GGUF_FAULTS[cause](toy_llama))
    assert (proof.cause, proof.unknown) == (cause, 0)


def proof_of_gguf(toy: ToyLlama, folder: Path, tolerance: Tolerance, **given: Any) -> Proof:
    """The comparison of a GGUF file of the toy's model, written with what is ``given``."""
    pytest.importorskip("xllamacpp")
    folder.mkdir(exist_ok=True)
    written = {"model": toy.merged, "template": toy.tokenizer.chat_template, "tokenizer": toy.tokenizer, **given}
    write_gguf(folder / "model.gguf", **written)
    return proof_by("with_llama_cpp", folder, toy.reference, tolerance, toy.tokenizer.bos_token_id)


def offset(model: Any) -> Any:
    """A model of the same answers that 8 bits can't hold: each logit is larger by the same large number."""
    import torch

    model = copy.deepcopy(model)
    with torch.no_grad():
        model.lm_head.weight.add_(60 * model.lm_head.weight.std())
    return model


@pytest.mark.parametrize(
    ("outtype", "change", "cause"),
    [
        ("bf16", offset, "quantisation (rounding to bf16, 8 significant bits a weight; outtype=f16 passes)"),
        ("q8_0", offset, "quantisation (rounding to q8_0, 8 bits a weight; outtype=f16 passes)"),
        ("bf16", scaled, "the weights differ"),
        ("q8_0", scaled, "the weights differ"),
    ],
)
def test_rounding_is_the_cause_where_the_same_weights_pass_in_a_finer_type(toy_llama, outtype, change, cause, tmp_path):
    model, tolerance = change(toy_llama.merged), EIGHT_BITS if outtype == "q8_0" else HALF

    def compared(kind: str) -> Proof:
        return proof_of_gguf(toy_llama, tmp_path / kind, tolerance, model=model, kind=kind.upper())

    assert compared(outtype).cause == "the weights differ"
    lines, found = lines_and_value(rounding_cause(outtype, compared))
    assert found == cause
    assert [line.partition(":")[0] for line in lines] == ["Control f16", "Control f32"][: 1 + (change is scaled)]
