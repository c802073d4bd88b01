"""Imports that wait until the page is open: MLflow and PyTorch take seconds to import.

Python's own import lock is one per module: where modules import each other, as MLflow's do, and two threads import them
from different ends at once, one of the threads can see a module that is only half executed. The first visitors arrive
together, so every late import of this package is made while ``import_lock`` is held.
"""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
import_lock = threading.RLock()
"""``with import_lock: from registry import versions``: one thread imports at a time."""


def once(make: Callable[[], T]) -> Callable[[], T]:
    """A function that returns ``make()``, called the first time only; other threads wait for the same value."""
    lock, made = threading.Lock(), []

    def get() -> T:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
