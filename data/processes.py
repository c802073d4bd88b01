"""What processes of this project share: the environment of those that others start, signals, ``gc``."""

import gc
import os
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USUAL_THRESHOLDS = gc.get_threshold()
#: Python's default is 700.
OBJECTS_PER_COLLECTION = 50_000


def python_path() -> str:
    """``PYTHONPATH`` with this project first, so that its modules are found from any folder."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def child_environment(without: Collection[str] = (), **more: str) -> dict[str, str]:
    """The variables of this process but for those in ``without``, ``python_path``, and ``more``."""
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return {**inherited, "PYTHONPATH": python_path(), **more}


def collect_rarely() -> None:
    """Let Python's collector of reference cycles start once per ``OBJECTS_PER_COLLECTION`` new objects here.

    Importing torch, Transformers and MLflow makes millions of objects that stay. By default the collector looks at them
    again and again, which takes a fifth of the time of the imports. Memory of models does not wait for it: they have no
    reference cycles. Processes that serve for hours call ``collect_as_usual`` once they have started.
    """
    gc.set_threshold(OBJECTS_PER_COLLECTION)


def collect_as_usual() -> None:
    """Undo ``collect_rarely``, with which the memory of a chat page grows by twice as much with every chat.

    What the start has made is not looked at again.
    """
    gc.freeze()
    gc.set_threshold(*USUAL_THRESHOLDS)


def ignore_signal(number: int, frame: object) -> None:
    """Do nothing, as a handler for ``signal.signal``.

    Where a signal comes just before SIG_IGN is set, Python prints an error about it; a process that this one starts
    would inherit SIG_IGN, but not a handler.
    """
