"""The commands that start a run again with the same settings, and that open the chat page."""

import shlex
from collections.abc import Collection
from dataclasses import fields
from typing import Any


def run_command(entry: str, config: Any, left_out: Collection[str] = ()) -> str:
    """``mlflow run`` with every setting that is not its default, but for the fields ``left_out``.

    Args:
        config: the settings, a dataclass whose fields have defaults.
    """
    given = [
        f"-P {shlex.quote(f'{field.name}={_word(getattr(config, field.name))}')}"
        for field in fields(config)
        if field.name not in left_out and getattr(config, field.name) != field.default
    ]
    return " ".join([f"mlflow run . -e {entry} --env-manager local", *given])


def commands(entry: str, config: Any, code: dict[str, str], left_out: Collection[str] = ("resume",)) -> tuple[str, ...]:
    """Check out the code, then ``run_command``.

    Args:
        code: ``registry.lineage.code_state()``.
        left_out: fields that do not change the result.
    """
    lines = [run_command(entry, config, left_out)]
    if code["git_commit"] != "unknown":
        changed = "  # and the changes that were not committed" if code["git_dirty"] == "true" else ""
        lines.insert(0, f"git checkout {code['git_commit']}{changed}")
    return tuple(lines)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def chat_command(name: str) -> str:
    """The command that opens the chat page on the versions of the registered model ``name``."""
    return f'make demo ARGS="--register_as {name}"'
