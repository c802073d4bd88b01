"""Text that came from people and models, made safe to stand in a page."""

import html
import re
from typing import NewType

#: HTML whose untrusted parts are escaped already. Plain text is no Markup: pass it through ``escaped`` first.
Markup = NewType("Markup", str)

SHORT_DIGITS = 8
_FOLDERS = re.compile(r"(?:(?<![\w.:/~])|(?<=://))[/~]+(?:[^/\s]+/)+")
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def escaped(text: object) -> Markup:
    """``text`` as HTML, fit for elements and quoted attributes; newlines stay, what can't be shown becomes U+FFFD."""
    shown = _UNSHOWABLE.sub("\ufffd", str(text).replace("\r\n", "\n").replace("\r", "\n"))
    return Markup(html.escape(shown))


def one_line(text: object, most: int = 300) -> str:
    """``text`` as plain text on one line of at most ``most`` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def placeless(text: str) -> str:
    """``text`` with the folders of whole paths left out: a visitor need not know how the server's disk is laid out."""
    return _FOLDERS.sub("", text)


def short_digest(digest: str) -> str:
    """The first digits of a digest, as labels show it."""
    return digest if len(digest) <= SHORT_DIGITS else digest[:SHORT_DIGITS] + "…"


def joined(*parts: str) -> Markup:
    """Pieces of HTML, one after the other."""
    return Markup("".join(parts))
