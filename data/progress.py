"""A progress bar with the time left, on stderr: for whatever can take minutes."""

from typing import NoReturn

from tqdm import tqdm

#: Work that ends sooner shows no bar.
SHOWN_AFTER_S = 1.0


def progress_bar(total: int, what: str, unit: str) -> "tqdm[NoReturn]":
    """A bar from 0 to ``total``; call ``update`` with what was done, and use it as a context.

    A log that is no terminal gets none.
    """
    return tqdm(total=total, desc=what, unit=unit, mininterval=0.5, delay=SHOWN_AFTER_S, disable=None)
