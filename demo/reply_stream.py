"""From a thread that makes things to one that reads them, at the reader's own pace."""

import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")
_DONE = object()


def in_thread(items: Iterator[T], stop: threading.Event) -> Iterator[T]:
    """``items``, made in a thread of their own: whoever reads them slowly, or no more, holds nobody up.

    When the reader goes, ``stop`` is set, and the maker is expected to end by it.
    """
    made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def make() -> None:
        try:
            for item in items:
                made.put(item)
            made.put(_DONE)
        except BaseException as error:
            made.put(error)

    threading.Thread(target=make, name="answering", daemon=True).start()
    ended = False
    try:
        while True:
            item = made.get()
            ended = item is _DONE or isinstance(item, BaseException)
            if isinstance(item, BaseException):
                raise item
            if ended:
                return
            while not made.empty():  # a slow reader gets the newest state, not every one in between
                newer = made.get()
                if newer is _DONE or isinstance(newer, BaseException):
                    made.put(newer)
                    break
                item = newer
            yield item
    finally:
        if not ended:
            stop.set()
