"""How long work takes."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")


def timed(work: Callable[..., T], *args: Any) -> tuple[T, float]:
    """The result of ``work(*args)``, and the seconds that it took."""
    start = perf_counter()
    return work(*args), perf_counter() - start
