"""A progress bar with the time left, on stderr: for whatever can take minutes."""

from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

T = TypeVar("T")
#: Work that ends sooner shows no bar.
SHOWN_AFTER_S = 1.0
_LOOK: dict[str, Any] = {"mininterval": 0.5, "delay": SHOWN_AFTER_S, "disable": None}


def progress_bar(total: int, what: str, unit: str) -> "tqdm[NoReturn]":
    """A bar from 0 to ``total``; call ``update`` with what was done, and use it as a context.

    A log that is no terminal gets none.
    """
    return tqdm(total=total, desc=what, unit=unit, **_LOOK)


def bar_over(items: Iterable[T] | None = None, what: str = "", total: int | None = None) -> "tqdm[Any]":
    """The same over ``items``, which are counted where ``total`` is None: to be iterated in their place."""
    return tqdm(items, total=total, desc=what, **_LOOK)
