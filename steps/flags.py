"""Command-line flags made from a config dataclass: one name, one default, strict types."""

import ast
import difflib
import inspect
import os
import sys
import textwrap
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from data.errors import ConfigError

C = TypeVar("C")
TRUE, FALSE = ("true", "1", "yes"), ("false", "0", "no")


def parse(config: type[C], argv: list[str]) -> C:
    """Make a ``config`` from ``--name value`` or ``--name=value`` pairs; ``--help`` prints every flag and exits.

    Raises:
        ConfigError: an unknown flag, a missing value, or a value of the wrong type.
    """
    if "--help" in argv or "-h" in argv:
        try:
            print(usage(config), flush=True)
        except BrokenPipeError:  # it was piped into head, say, which has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    types = get_type_hints(config)
    values: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        flag = rest.pop(0)
        name, equals, value = flag.removeprefix("--").partition("=")
        if not flag.startswith("--") or name not in types:
            near = difflib.get_close_matches(name, types, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there is {', '.join(types)}"
            raise ConfigError(f"there is no parameter {name!r}{hint}")
        if not equals and not rest:
            raise ConfigError(f"{name} needs a value")
        values[name] = _typed(name, value if equals else rest.pop(0), types[name])
    return config(**values)


def _typed(name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ConfigError(f"{name} must be one of {', '.join(get_args(kind))}, not {text!r}")
        return text
    if kind is bool:
        if text.lower() not in TRUE + FALSE:
            raise ConfigError(f"{name} must be true or false, not {text!r}")
        return text.lower() in TRUE
    try:
        return kind(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[kind]
        raise ConfigError(f"{name} must be {wanted}, not {text!r}") from None


def field_docs(config: type) -> dict[str, str]:
    """The docstring under each field, those of parent classes included; the nearest class wins."""
    docs: dict[str, str] = {}
    for cls in reversed(config.__mro__[:-1]):
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
        for field, text in zip(body, body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                docs[field.target.id] = str(text.value.value)  # type: ignore[union-attr]
    return docs


def usage(config: type) -> str:
    """One paragraph a flag: its name, its default and what it does."""
    docs = field_docs(config)
    out = [inspect.getdoc(config) or "", ""]
    for field in fields(config):  # type: ignore[arg-type]
        kind = get_type_hints(config)[field.name]
        choices = f" ({' | '.join(get_args(kind))})" if get_origin(kind) is Literal else ""
        shown = field.default if field.default != "" else "''"
        out.append(f"  --{field.name} {shown}{choices}")
        out += textwrap.wrap(docs.get(field.name, ""), 100, initial_indent="      ", subsequent_indent="      ")
    return "\n".join(out)
