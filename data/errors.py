"""The errors a user can mend: each is shown as plain lines, without a traceback, and ends a run with exit code 1."""

import re
from collections.abc import Iterable
from itertools import groupby
from typing import ClassVar

LONGEST_LINE = 200
#: From this many rows on, faults of one kind share a line.
LEAST_ALIKE = 3
MOST_RANGES = 10
#: ``pairs.csv row 7 (line 8): ...``, ``pairs.jsonl row 7, line 8 column 3: ...``,
#: ``pairs.csv byte 70 (line 8): ...`` or ``suite.yaml line 8: ...``
PLACED = re.compile(
    r"(?P<file>.+?) (?:row (?P<row>\d+)(?: \(line \d+\))?(?:, line \d+ column \d+)?|"
    r"(?:byte \d+ \()?line (?P<line>\d+)\)?): "
    r"(?P<problem>.*)",
    re.DOTALL,
)
#: What may differ between faults of one kind: quoted texts and numbers.
DETAIL = re.compile(r"(?<!\w)'(?:[^'\\]|\\.)*'(?!\w)|\"(?:[^\"\\]|\\.)*\"|0x[0-9a-f]{2}|\d+")


class UserError(Exception):
    """Something the user asked for can't be done; the message says what to do instead.

    ``tags`` are set on the run that it ends.
    """

    tags: ClassVar[dict[str, str]] = {}


class DataError(UserError):
    """Rows that can't be used. ``problems`` is every problem found, with file and row; the message has them grouped.

    Args:
        problems: one line each, such as ``pairs.json row 7: the response is blank``.
    """

    SHOWN = 20

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = grouped(problems)
        shown = lines[: self.SHOWN]
        if len(lines) > len(shown):
            shown.append(f"... and {len(lines) - len(shown)} more problems.")
        super().__init__("\n".join(shown))


def grouped(problems: Iterable[str]) -> list[str]:
    """``problems`` with those of one kind in three or more rows of a file as one line, where the first of them stood.

    Faults are of one kind where they differ in nothing but numbers and quoted texts:
    ``pairs.json row 1: the response is blank (likewise rows 2 to 20 and 31)``.
    """
    kinds: dict[tuple[str, ...], dict[str, int]] = {}
    for problem in problems:
        found = PLACED.fullmatch(problem)
        unit = "row" if found and found["row"] else "line"
        key = (found["file"], unit, DETAIL.sub("#", found["problem"])) if found else (problem,)
        kinds.setdefault(key, {})[problem] = int(found[unit]) if found else 0
    lines = []
    for key, alike in kinds.items():
        (first, number), *others = alike.items()
        numbers = {each for _, each in others} - {number}
        is_shared = len(numbers) >= LEAST_ALIKE - 1
        lines += [f"{first} (likewise {key[1]}s {ranges(numbers)})"] if is_shared else alike
    return lines


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in words, neighbours as ranges: ``1 to 3, 7 and 9``; after ten of these ``and 12 more``."""
    ordered = sorted(set(numbers))
    runs = [[n for _, n in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    shown = runs[:MOST_RANGES]
    parts = [part for run in shown for part in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run))]
    rest = len(ordered) - sum(map(len, shown))
    *before, last = [*parts, f"{rest:,} more"] if rest else parts
    return f"{', '.join(before)} and {last}" if before else last


class ConfigError(UserError):
    """A setting that makes no sense, alone or with the others; the message names the flag."""


def first_line(error: BaseException) -> str:
    """What ``error`` says, in one line that is not too long for a page; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:LONGEST_LINE]


def last_line(output: str) -> str:
    """The last line that is not empty of what a program wrote to its standard error, which has its exception."""
    return ([line for line in output.splitlines() if line.strip()] or ["it said nothing"])[-1][:LONGEST_LINE]


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
