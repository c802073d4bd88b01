"""What all fragments of the page share: their templates, and texts made short enough for one line."""

import json
import re
from pathlib import Path

from markupsafe import Markup

from data.html import escaped, render

__all__ = ["Markup", "escaped", "file_to_save", "fragment", "one_line", "short_digest", "without_folders"]

TEMPLATES = Path(__file__).with_name("templates")
SHORT_DIGITS = 8
_FOLDERS = re.compile(r"(?:(?<![\w.:/~])|(?<=://))[/~]+(?:[^/\s]+/)+")


def fragment(name: str, /, **values: object) -> Markup:
    """The HTML or SVG that the template ``name`` of this package makes of ``values``."""
    return render(TEMPLATES / name, **values)


def file_to_save(name: str, text: str) -> str:
    """A file as JSON, which ``page.js`` saves in the browser."""
    return json.dumps({"name": name, "text": text})


def one_line(text: object, most: int = 300) -> str:
    """``text`` as plain text on one line of at most ``most`` characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def without_folders(text: str) -> str:
    """``text`` with absolute paths cut to their last part: visitors need not know the server's file system."""
    return _FOLDERS.sub("", text)


def short_digest(digest: str) -> str:
    """The first eight digits of a digest, with an ellipsis where it is longer."""
    return digest if len(digest) <= SHORT_DIGITS else digest[:SHORT_DIGITS] + "…"
