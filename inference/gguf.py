"""GGUF files as Transformers folders: read and dequantised by Transformers, kept as safetensors."""

import contextlib
import io
import re
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.errors import UserError, first_line

MAGIC = b"GGUF"
#: How llama.cpp names the parts of a split model.
PART = re.compile(r"-\d+-of-\d+\.gguf$", re.IGNORECASE)
#: How weights are kept that a GGUF file stores as such; of all others bfloat16 holds more than is there.
DTYPES = {"F32": "float32", "F16": "float16"}


def is_named(name: str) -> bool:
    """Whether a file or a path is named like a GGUF file."""
    return name.lower().endswith(".gguf")


def require_whole(file: Path) -> None:
    """Refuse one of the parts of a split model.

    Raises:
        UserError: the file is named like one.
    """
    if PART.search(file.name):
        raise UserError(
            f"{file} is one part of a model: join the parts with llama-gguf-split --merge, and name the result"
        )


def stored_type(file: Path) -> str:
    """The tensor type that most of the weights in ``file`` have, by GGUF's name of it: ``Q4_1``, ``F16``, ``BF16``.

    Raises:
        UserError: it is no GGUF file, not a whole one, or one part of several.
    """
    import gguf

    require_whole(file)
    with file.open("rb") as stream:
        if stream.read(4) != MAGIC:
            raise UserError(f"{file} is no GGUF file: it does not begin with {MAGIC.decode()}")
    counts: Counter[str] = Counter()
    try:
        for tensor in gguf.GGUFReader(file).tensors:
            counts[tensor.tensor_type.name] += int(tensor.n_elements)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error) as error:
        raise UserError(f"{file} can't be read, it is cut off or damaged: {first_line(error)}") from error
    if not counts:
        raise UserError(f"{file} holds no weights")
    return counts.most_common(1)[0][0]


def convert(file: Path, folder: Path) -> None:
    """Write the causal language model in ``file`` to ``folder``: config, tokenizer with its chat template, safetensors.

    Weights that the file stores as F32 or F16 keep their type, all others become bfloat16.

    Raises:
        UserError: the file can't be read, lacks weights, or Transformers does not read its architecture.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = getattr(torch, DTYPES.get(stored_type(file), "bfloat16"))
    where: Any = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    try:
        with _quiet():
            tokenizer: Any = AutoTokenizer.from_pretrained(**where)
            read: Any = AutoModelForCausalLM.from_pretrained(**where, dtype=dtype, output_loading_info=True)
            model, missing = _plain(read[0], dtype), read[1]["missing_keys"]
    except Exception as error:  # a broken file can make a library fail in any way
        raise UserError(f"{file} can't be read: {first_line(error)}") from error
    if missing:  # they would be drawn at random
        raise UserError(f"{file} can't be read: it lacks {len(missing)} tensors of the model ({min(missing)})")
    with _quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and advice on kernels, for a moment's work."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _plain(read: Any, dtype: Any) -> Any:
    """``read`` without the mark of a quantised model, which Transformers refuses to save."""
    settings = read.config.to_dict()
    for name in ("quantization_config", "_name_or_path"):
        settings.pop(name, None)
    model = type(read)(type(read.config)(**settings)).to(dtype)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = read.generation_config
    return model
