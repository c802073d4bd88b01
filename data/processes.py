"""What processes of this project share: the environment of those that others start, and a handler of signals."""

import os
from collections.abc import Collection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def python_path() -> str:
    """``PYTHONPATH`` with this project first, so that its modules are found from any folder."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def child_environment(without: Collection[str] = (), **more: str) -> dict[str, str]:
    """The variables of this process but for those in ``without``, ``python_path``, and ``more``."""
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return {**inherited, "PYTHONPATH": python_path(), **more}


def ignore_signal(number: int, frame: object) -> None:
    """Do nothing, as a handler for ``signal.signal``.

    Where a signal comes just before SIG_IGN is set, Python prints an error about it; a process that this one starts
    would inherit SIG_IGN, but not a handler.
    """
