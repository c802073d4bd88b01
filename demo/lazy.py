"""What waits until the page is there: MLflow and PyTorch take seconds to import.

Several visitors can be the first at once, and a module that two threads import at a time can be seen half made.
"""

import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

T = TypeVar("T")
_one_at_a_time = threading.RLock()


def late(name: str) -> Any:
    """The module called ``name``, imported by one thread at a time."""
    with _one_at_a_time:
        return import_module(name)


def once(make: Callable[[], T]) -> Callable[[], T]:
    """``make``, called the first time only; whoever comes meanwhile waits for the same value."""
    lock, made = threading.Lock(), []

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
