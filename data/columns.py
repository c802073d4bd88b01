"""Texts for a terminal: rows of cells as lines of aligned columns, long texts cut."""

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """One line a row, two spaces between columns; those whose numbers are in ``right`` are aligned right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cell(text, widths[i], i in right) for i, text in enumerate(row)).rstrip() for row in rows]


def shortened(text: str, most: int) -> str:
    """``text`` in one line of at most ``most`` characters; a longer one ends in ``...``."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def _cell(text: str, width: int, is_right: bool) -> str:
    return text.rjust(width) if is_right else text.ljust(width)
