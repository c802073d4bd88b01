"""A progress bar with the time left, on stderr, for whatever can take minutes; a log gets it as a line now and then."""

import re
import shutil
import sys
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

T = TypeVar("T")
#: Work that ends sooner shows no bar.
SHOWN_AFTER_S = 1.0
#: Between two lines in a log.
LINE_EVERY_S = 30.0
_COUNT = re.compile(r"\d+/\d+ \[\d+:")


class _Lines(tqdm):  # type: ignore[type-arg]
    """A bar for a file or a pipe, which can't be redrawn: how far the work is, as a line every half minute."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        if msg is None:  # not the empty text, which removes a bar
            self.fp.write(f"{self}\n")
        return False

    def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
        super().set_description(desc, refresh=False)


def progress_bar(total: int, what: str, unit: str, done: int = 0, is_shown: bool = True) -> "tqdm[NoReturn]":
    """A bar from 0 to ``total``, of which ``done`` is reached; call ``update`` with more, and use it as a context."""
    return _bar(None, total=total, desc=what, unit=unit, initial=done, disable=not is_shown)


def bar_over(items: Iterable[T] | None = None, what: str = "", total: int | None = None) -> "tqdm[Any]":
    """The same over ``items``, which are counted where ``total`` is None: to be iterated in their place."""
    return _bar(items, total=total, desc=what)


def is_progress(line: str) -> bool:
    """Whether ``line`` is a bar of this module, on a terminal or in a log."""
    return bool(_COUNT.search(line))


def _bar(items: Iterable[T] | None, **settings: Any) -> "tqdm[Any]":
    if sys.stderr.isatty():
        size = shutil.get_terminal_size()  # 80 x 24 for a terminal of size 0, to which tqdm would write nothing
        look = {"ncols": size.columns - 1, "nrows": size.lines, "mininterval": 0.5, "delay": SHOWN_AFTER_S}
        return tqdm(items, **look, **settings)
    every = LINE_EVERY_S
    return _Lines(items, mininterval=every, maxinterval=every, delay=every, leave=False, ncols=0, **settings)
