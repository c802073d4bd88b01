"""Processes that multiprocessing starts."""

import os
import signal
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread

#: Seconds that a process with nothing more to do has to end by itself.
LAST_S = 10


def end(process: BaseProcess, by_itself: bool) -> None:
    """End ``process`` and wait for it.

    Args:
        by_itself: it has nothing more to do, and removes what it holds at the system before it ends; else it is killed.
    """
    if by_itself:
        process.join(LAST_S)
    process.kill()
    process.join()


def end_with_parent() -> None:
    """Let this process end as soon as the one that started it has, even by a kill; Ctrl-C is left to that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    parent = parent_process()
    assert parent
    parent.join()
    os._exit(0)
