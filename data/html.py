"""HTML and SVG from Jinja2 templates. Every text is escaped where it is inserted, but for ``markupsafe.Markup``."""

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

#: control characters but tab and newline, and lone surrogates, which UTF-8 can't encode
_UNDISPLAYABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@cache
def environment(folder: Path) -> Environment:
    """The templates in ``folder``, with autoescape; lines that hold only a tag leave no empty line behind.

    A template is read once in a process: looking for a newer file would cost more than rendering a small one.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_displayable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


def render(template: Path, /, **values: object) -> Markup:
    """The page or fragment that the file ``template`` makes of ``values``.

    Raises:
        jinja2.UndefinedError: the template uses a value that is not given.
    """
    return Markup(_template(template).render(values))


@cache
def _template(path: Path) -> Template:
    return environment(path.parent).get_template(path.name)


def escaped(text: object) -> Markup:
    """``text`` as HTML, fit for elements and quoted attributes; Markup stays as it is."""
    return escape(_displayable(text))


def _displayable(value: object) -> object:
    """A text with every line end as a newline and what can't be displayed as U+FFFD; other values unchanged."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return _UNDISPLAYABLE.sub("\ufffd", value.replace("\r\n", "\n").replace("\r", "\n"))
