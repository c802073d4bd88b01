"""The errors a user can mend: each is shown as plain lines, without a traceback, and ends a run with exit code 1."""

from typing import ClassVar

LONGEST_LINE = 200


class UserError(Exception):
    """Something the user asked for can't be done; the message says what to do instead.

    ``tags`` are set on the run that it ends.
    """

    tags: ClassVar[dict[str, str]] = {}


class DataError(UserError):
    """Rows that can't be used. Holds every problem found, each with its file and row.

    Args:
        problems: one line each, such as ``pairs.json row 7: the response is blank``.
    """

    SHOWN = 20

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        shown = problems[: self.SHOWN]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more problems.")
        super().__init__("\n".join(shown))


class ConfigError(UserError):
    """A setting that makes no sense, alone or with the others; the message names the flag."""


def first_line(error: BaseException) -> str:
    """What ``error`` says, in one line that is not too long for a page; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:LONGEST_LINE]


def explain(error: BaseException) -> str:
    """One line for an error: what it says where it is meant for people, else its kind as well."""
    return first_line(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"


def require(condition: bool, message: str) -> None:
    """Refuse a setting.

    Raises:
        ConfigError: with ``message``, where ``condition`` is false.
    """
    if not condition:
        raise ConfigError(message)
