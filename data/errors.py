"""The errors a user can mend: each is shown as plain lines, without a traceback, and ends a run with exit code 1."""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import ClassVar

LONGEST_LINE = 200
#: From this many rows on, faults of one kind share a line.
LEAST_ALIKE = 3
MOST_RANGES = 10
#: ``pairs.csv row 7 (line 8): ...``, ``pairs.jsonl row 7, line 8 column 3: ...`` or ``pairs.csv byte 70 (line 8): ...``
PLACED = re.compile(
    r"(?P<file>.+?) (?:row (?P<row>\d+)(?: \(line \d+\))?(?:, line \d+ column \d+)?|byte \d+ \(line (?P<line>\d+)\)): "
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
    ``pairs.json rows 1 to 20 and 31: the response is blank``.
    """
    kinds: dict[tuple[str, ...], list[tuple[int, str, str]]] = {}
    for problem in problems:
        found = PLACED.fullmatch(problem)
        if found is None:
            kinds.setdefault((problem,), []).append((0, problem, ""))
            continue
        unit = "row" if found["row"] else "line"
        key = (found["file"], unit, DETAIL.sub("#", found["problem"]))
        kinds.setdefault(key, []).append((int(found[unit]), problem, found["problem"]))
    lines = []
    for key, alike in kinds.items():
        if len(key) > 1 and len({number for number, *_ in alike}) >= LEAST_ALIKE:
            lines.append(_shared_line(key[0], key[1], alike))
        else:
            lines += dict.fromkeys(problem for _, problem, _ in alike)
    return lines


def _shared_line(file: str, unit: str, alike: Sequence[tuple[int, str, str]]) -> str:
    first, _, problem = alike[0]
    differ = len({each for *_, each in alike}) > 1
    note = f" (this is {unit} {first}; the others are alike)" if differ else ""
    return f"{file} {unit}s {ranges(number for number, *_ in alike)}: {problem}{note}"


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in words, neighbours as ranges: ``1 to 3, 7 and 9``, after ten ranges ``... and 12 more``."""
    ordered = sorted(set(numbers))
    runs = [[n for _, n in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    parts = [
        f"{run[0]} to {run[-1]}" if len(run) > 2 else str(n) for run in runs for n in run[: 1 if len(run) > 2 else 2]
    ]
    if len(runs) > MOST_RANGES:
        shown = sum(map(len, runs[:MOST_RANGES]))
        count = len([n for run in runs[:MOST_RANGES] for n in run[: 1 if len(run) > 2 else 2]])
        return f"{', '.join(parts[:count])} and {len(ordered) - shown:,} more"
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


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
