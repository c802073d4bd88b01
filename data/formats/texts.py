"""Texts of records: what makes one unusable, and how whitespace around one is treated."""

import re
from typing import Any

LINE_END = re.compile(r"\r\n?")
BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words, with a short look at it where that helps."""
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float)):
        return f"the {'truth value' if isinstance(value, bool) else 'number'} {str(value)[:30]}"
    if isinstance(value, (list, dict)):
        name = "list" if isinstance(value, list) else "object"
        return f"an empty {name}" if not value else "a list" if name == "list" else "an object"
    return "text" if isinstance(value, str) else f"a {type(value).__name__}"


def is_blank(value: Any) -> bool:
    """Whether a value holds nothing: null, an empty list or object, or a text without anything to see."""
    if isinstance(value, str):
        # Not only spaces: a lone zero-width space or control character would look just as empty.
        return not any(ch.isprintable() and not ch.isspace() for ch in value)
    return value is None or (isinstance(value, (list, dict)) and not value)


def text_problem(name: str, text: Any) -> str:
    """What makes ``text`` unusable as the text called ``name``; empty where it is fine."""
    if not isinstance(text, str):
        return f"{name} is {kind_of(text)}, not text"
    if "\0" in text:
        return f"{name} holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{name} holds half a character (a lone surrogate)"
    return f"{name} is blank" if is_blank(text) else ""


def line_ends(text: str) -> str:
    r"""``text`` with every line end as ``\n``: a ``\r`` would be learned and written in answers."""
    return LINE_END.sub("\n", text) if "\r" in text else text


def cleaned(text: str) -> str:
    r"""``text`` as it is trained: line ends as ``\n``, without blank lines before it and whitespace after it.

    The indentation of the first line stays, because code depends on it; a single space is none and is taken off.
    """
    text = BLANK_LINES.sub("", line_ends(text)).rstrip()
    return text[1:] if text[:1].isspace() and text[:1] != "\t" and not text[1:2].isspace() else text
