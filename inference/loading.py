"""Weights from a folder to a model that can answer; never from a pickle, never with somebody else's code."""

import json
from pathlib import Path
from typing import Any

from data.errors import UserError, first_line


def load(folder: Path, device: str = "cpu") -> tuple[Any, Any]:
    """Model (float32, on ``device``, ready to answer) and tokenizer of the Transformers folder ``folder``.

    Raises:
        UserError: the files are no causal language model, or its tokenizer has no end token.
    """
    tokenizer = load_tokenizer(folder)
    return load_model(folder, device), tokenizer


def load_model(folder: Path, device: str = "cpu") -> Any:
    """The model alone.

    Raises:
        UserError: the files are no causal language model, or not a whole one.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    _require_own_shards(folder)
    logging.disable_progress_bar()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype="float32", use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        model, report = loaded
    except Exception as error:  # a stranger's config can make a library fail in any way
        raise UserError(f"{folder} can't be loaded: {first_line(error)}") from error
    if report["missing_keys"]:  # they would be drawn at random
        name = min(report["missing_keys"])
        raise UserError(f"{folder} can't be loaded: its weights lack {len(report['missing_keys'])} tensors ({name})")
    return model.to(device).eval()


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
