"""Word tables of the generators, kept as YAML files beside this module."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml


@cache
def load(name: str) -> SimpleNamespace:
    """The tables of ``NAME_tables.yaml`` as attributes: lists as tuples, read once."""
    text = Path(__file__).with_name(f"{name}_tables.yaml").read_text(encoding="utf-8")
    return SimpleNamespace(**{key: _frozen(value) for key, value in yaml.safe_load(text).items()})


def _frozen(value: Any) -> Any:
    """``value`` with tuples in place of lists, at any depth."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return {key: _frozen(each) for key, each in value.items()} if isinstance(value, dict) else value
