"""Pages from Jinja2 templates. Every value is escaped where it is inserted, unless it is ``markupsafe.Markup``."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@cache
def environment(folder: Path) -> Environment:
    """The templates in ``folder``, with autoescape; lines that hold only a tag leave no empty line behind."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: Path, **values: object) -> str:
    """The page that the file ``template`` makes of ``values``.

    Raises:
        jinja2.UndefinedError: the template uses a value that is not given.
    """
    return environment(template.parent).get_template(template.name).render(values)
