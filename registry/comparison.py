"""Comparison of a metric with the one in a version's tags."""

import re

#: How metrics were written in tags before they were kept in full: rounded to four decimals.
ROUNDED = re.compile(r"-?\d+\.\d{4}")


def compare(value: float, tag: str) -> tuple[bool, str, str]:
    """(whether ``value`` is higher than the metric in ``tag``, both as text).

    They are compared in full, so that equal results are equal; where the tag is rounded to four decimals, as older code
    wrote it, ``value`` is rounded likewise. The texts have two decimals, or as many as show a difference.
    """
    other = float(tag)
    mine = round(value, 4) if ROUNDED.fullmatch(tag) else value
    digits = next((n for n in range(2, 17) if mine == other or f"{mine:.{n}f}" != f"{other:.{n}f}"), 17)
    return mine > other, f"{mine:.{digits}f}", f"{other:.{digits}f}"
