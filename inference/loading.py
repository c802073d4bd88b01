"""Weights from a folder to a model that can answer; never from a pickle, never with somebody else's code."""

import json
from pathlib import Path
from typing import Any

from data.errors import UserError, first_line
from data.progress import bar_over


def load(folder: Path, device: str = "cpu", held: str = "fp32") -> tuple[Any, Any]:
    """Model (on ``device``, ready to answer) and tokenizer of the Transformers folder ``folder``.

    Args:
        held: ``fp32``, ``bf16`` or ``4bit``, see ``load_model``.

    Raises:
        UserError: the files are no causal language model, or its tokenizer has no end token.
    """
    tokenizer = load_tokenizer(folder)
    return load_model(folder, device, held), tokenizer


def load_model(folder: Path, device: str = "cpu", held: str = "fp32") -> Any:
    """The model alone. Its weights are read straight in the type in which they are held.

    Args:
        held: ``fp32``: all weights in float32. ``bf16``: frozen, in bfloat16; on a CPU only those of linear layers and
            embeddings, and all else in float32. ``4bit``: frozen, linear layers but the head in NF4 with bitsandbytes,
            all else as with ``bf16``.

    Raises:
        UserError: the files are no causal language model, or not a whole one.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    _require_own_shards(folder)
    logging.set_tqdm_hook(_progress_bar)
    types = _types(held, device)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **types
        )
        model, report = loaded
    except Exception as error:  # a broken config can make a library fail in any way
        raise UserError(f"{folder} can't be loaded: {first_line(error)}") from error
    if report["missing_keys"]:  # they would be drawn at random
        name = min(report["missing_keys"])
        raise UserError(f"{folder} can't be loaded: its weights lack {len(report['missing_keys'])} tensors ({name})")
    if held != "fp32" and device == "cpu":
        from inference.bf16_linear import hold_in_bf16

        hold_in_bf16(model)
    model = model if held == "4bit" else model.to(device)
    return model.eval().requires_grad_(held == "fp32")


def _progress_bar(make: object, given: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    """A bar of Transformers as this project shows all of its own: where it takes long, and on a terminal only."""
    return bar_over(*given, what=str(settings.get("desc") or "reading files").lower(), total=settings.get("total"))


def _types(held: str, device: str) -> dict[str, Any]:
    """What ``from_pretrained`` takes for weights that are ``held`` so."""
    import torch

    if held == "fp32":
        return {"dtype": torch.float32}
    if held == "bf16":
        return {"dtype": torch.bfloat16}
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if not find_spec("bitsandbytes"):
        raise UserError("load=4bit needs bitsandbytes: pip install -r requirements-4bit.txt (or set load=auto)")
    compute = torch.bfloat16 if device.startswith("cuda") else torch.float32
    quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute)
    return {"dtype": torch.bfloat16, "quantization_config": quantised, "device_map": {"": device}}


def _require_own_shards(folder: Path) -> None:
    """Refuse an index that names files elsewhere: the digest that a model is known by is of this folder's own."""
    for index in folder.glob("*.safetensors.index.json"):
        try:
            names = set(json.loads(index.read_text())["weight_map"].values())
            own = all(name == Path(name).name and name.endswith(".safetensors") for name in names)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{folder} can't be loaded: {index.name} can't be read") from error
        if not own:
            raise UserError(f"{folder} can't be loaded: {index.name} names weights outside of it")


def positions(folder: Path) -> int:
    """The longest sequence of the model in ``folder`` in tokens, by its configuration; 2048 where that names none.

    Raises:
        UserError: the configuration can't be read.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    except Exception as error:
        raise UserError(f"{folder} can't be loaded: {first_line(error)}") from error
    return getattr(config, "max_position_embeddings", None) or 2048


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer alone."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:
        raise UserError(f"the tokenizer in {folder} can't be loaded: {first_line(error)}") from error
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer in {folder} has no end token, so a model could never stop")
    return tokenizer
