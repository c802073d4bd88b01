"""Small models and adapters with random weights, and what plain Transformers makes of them."""

import copy
import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch

from inference.generation import LoadedModel
from inference.transcript import ModelInfo


def stirred(base: Path, folder: Path, seed: int, ends: Sequence[int] = (), packable: bool = True) -> Path:
    """A model folder like ``base``, but with stronger random weights, so that its answers vary."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        embeddings: Any = model.get_input_embeddings()
        embeddings.weight[model.config.eos_token_id] = 0  # it ends no answer by itself
    if ends:
        model.generation_config.eos_token_id = list(ends)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


def rope(kind: str, base: Path, folder: Path, seed: int = 3, positions: int = 128, **settings: Any) -> Path:
    """A tiny random model of ``kind``, with the tokenizer of ``base``; ``settings`` are its configuration's."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        kind,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
        **settings,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def adapter(base: Path, folder: Path, seed: int, strength: float = 0.15, **settings: Any) -> Path:
    """A PEFT adapter for ``base`` with random weights, saved by PEFT; ``settings`` are its LoraConfig's."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": ["c_attn"], "task_type": "CAUSAL_LM", **settings}
    torch.manual_seed(seed)
    model = get_peft_model(model, LoraConfig(**settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=strength)
    model.save_pretrained(str(folder))
    return folder


@cache
def plain(base: Path, worn: Path | None = None) -> Any:
    """The version alone, as Transformers and PEFT load it."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return (PeftModel.from_pretrained(model, worn) if worn else model).eval()


@cache
def _generated(base: Path, worn: Path | None, prompt: tuple[int, ...], count: int, ends: tuple[int, ...]) -> Any:
    with torch.inference_mode():
        return plain(base, worn).generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones((1, len(prompt)), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=list(ends) or None,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )


def greedy(base: Path, worn: Path | None, prompt: Sequence[int], count: int, ends: Sequence[int] = ()) -> list[int]:
    """The tokens that plain ``generate`` answers with."""
    return _generated(base, worn, tuple(prompt), count, tuple(ends)).sequences[0, len(prompt) :].tolist()


def greedy_logits(base: Path, worn: Path | None, prompt: Sequence[int], count: int) -> torch.Tensor:
    """The logits ``[count, vocabulary]`` that plain ``generate`` chose from."""
    return torch.cat(_generated(base, worn, tuple(prompt), count, ()).logits)


def copy_with(folder: Path, place: Path, file: str, **changes: Any) -> Path:
    """A copy of ``folder`` at ``place`` whose JSON ``file`` says ``changes``."""
    shutil.copytree(folder, place)
    found = json.loads((place / file).read_text())
    (place / file).write_text(json.dumps({**found, **changes}))
    return place


def speaker(model: Any, tokenizer: Any, reference: str = "tiny/1", **more: Any) -> LoadedModel:
    """A speaker of a model at hand."""
    return LoadedModel(ModelInfo(reference, "base", "", "tiny", "", 0), model, tokenizer=copy.copy(tokenizer), **more)
