"""What is known of a base without loading its weights: its positions, its defaults of sampling, its tokenizer."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from data.errors import UserError
from inference.loading import load_tokenizer, positions
from train import base_model

#: Fields of a ``generation_config`` that are defaults of sampling here, as at vLLM.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


@dataclass(frozen=True)
class BaseFacts:
    """``positions``: of prompt and answer together. ``sampling``: what ``generation_config.json`` says of sampling."""

    folder: Path
    positions: int
    sampling: dict[str, Any]


_FOUND: dict[str, BaseFacts] = {}


def facts_of(base: str) -> BaseFacts | None:
    """What is known of ``base``; None where it would have to be fetched first, or can't be read."""
    if base not in _FOUND:
        try:
            found = base_model.find_local(base)
            if found is None:
                return None
            _FOUND[base] = BaseFacts(found.folder, positions(found.folder), _sampling(found.folder))
        except UserError:
            return None
    return _FOUND[base]


def _sampling(folder: Path) -> dict[str, Any]:
    from transformers import GenerationConfig

    try:
        config = GenerationConfig.from_pretrained(folder)
    except Exception:  # there is none, or it is not readable
        return {}
    given = config.to_diff_dict()
    return {name: given[name] for name in SAMPLING if given.get(name) is not None}


@contextmanager
def tokenizer_in(folder: Path) -> Iterator[Any]:
    """Context with a copy of the tokenizer in ``folder``, which may be changed; one thread at a time is within."""
    with _TOKENIZING:
        yield copy.copy(_kept(folder))


_kept = lru_cache(16)(load_tokenizer)
_TOKENIZING = Lock()  # copies of a tokenizer share the part that is used by one thread at a time
