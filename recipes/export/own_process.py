"""A generator that runs in a process of its own: what it takes there, memory above all, ends with it."""

import contextlib
import ctypes
import traceback
import warnings
from collections.abc import Callable, Generator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from data.child_process import end, end_with_parent
from data.errors import UserError

R = TypeVar("R")
YIELDED, RETURNED, RAISED = range(3)
#: Of glibc's malloc.h.
M_MMAP_THRESHOLD = -3


def in_own_process(function: Callable[..., Generator[str, None, R]], *given: Any) -> Generator[str, None, R]:
    """Yield what ``function(*given)`` yields and return what it returns; arguments and results are pickled.

    The process is ended with this generator, and ends by itself where this process is killed.

    Raises:
        UserError: the process was killed, perhaps for want of memory.
        Exception: what ``function`` raises.
    """
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, function, given), daemon=True)
    process.start()
    theirs.close()  # only the process keeps its end, so that its death closes the pipe
    kind = YIELDED
    try:
        while True:
            kind, value = ours.recv()
            if kind == YIELDED:
                yield value
            elif kind == RETURNED:
                return value
            else:
                raise value
    except EOFError:
        process.join()
        raise UserError(
            f"the process that holds the version has ended (exit code {process.exitcode}), perhaps for want of memory"
        ) from None
    finally:
        end(process, by_itself=kind != YIELDED)


def _run(pipe: Connection, function: Callable[..., Generator[str, None, Any]], given: tuple[Any, ...]) -> None:
    end_with_parent()
    give_back_what_is_freed()
    warnings.filterwarnings("ignore", category=FutureWarning)
    lines = function(*given)
    try:
        while True:
            pipe.send((YIELDED, next(lines)))
    except StopIteration as last:
        pipe.send((RETURNED, last.value))
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(traceback.format_exc())  # which pickling leaves out
        pipe.send((RAISED, error))


def give_back_what_is_freed() -> None:
    """Let this process give blocks of 128 KiB and more back to the system as soon as they are freed.

    glibc raises this limit to as much as 32 MiB when such a block is freed, and keeps what is below it (mallopt(3)).
    Elsewhere nothing is done.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 * 1024)
