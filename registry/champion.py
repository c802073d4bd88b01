"""The alias ``champion``: the version of a registered model that was better than all before it."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from registry.versions import Version, find_alias

CHAMPION = "champion"
#: How metrics were written in tags before they were kept in full: rounded to four decimals.
ROUNDED = re.compile(r"-?\d+\.\d{4}")


@dataclass(frozen=True)
class Promotion:
    """Whether the alias ``champion`` moved, and why or why not."""

    moved: bool
    reason: str


def promote(
    version: Version,
    metric: str,
    value: float,
    test_digest: str,
    against: Callable[[Version], Promotion | None] = lambda current: None,
    least_gain: float = 0.0,
) -> Promotion:
    """Make ``version`` champion if it is healthy and better than the champion on the same test rows.

    Args:
        against: compares it with the champion; where it returns None, ``value`` (higher is better) decides, which
            must be higher by ``least_gain``.
    """
    client = MlflowClient()
    if version.tags.get("verdict") != "healthy":
        return Promotion(False, f"its verdict is {version.tags.get('verdict')}")
    current = find_alias(version.name, CHAMPION)
    if current is None:
        try:
            client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
            return Promotion(True, "it is the first healthy version")
        except MlflowException:  # another process set the alias in between: the database has it once
            current = find_alias(version.name, CHAMPION)
            if current is None:
                raise
    theirs = current.tags.get(f"test/{metric}")
    rival = f"{version.name}/{current.number}"
    if current.tags.get("test_digest") != test_digest or theirs is None:
        return Promotion(False, f"{rival} was measured on other test rows, so the two can't be compared")
    compared = against(current)
    if compared:
        if compared.moved:
            client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
        return compared
    is_better, mine, rivals = compare(value, theirs)
    if is_better and value - float(theirs) >= least_gain:
        client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
        return Promotion(True, f"{metric} {mine} is better than {rival}'s {rivals}")
    enough = f" by least_gain={least_gain:g}" if is_better else ""
    return Promotion(False, f"{metric} {mine} is not better than {rival}'s {rivals}{enough}")


def compare(value: float, tag: str) -> tuple[bool, str, str]:
    """(whether ``value`` is higher than the metric in ``tag``, both as text).

    They are compared in full, so that equal results are equal; where the tag is rounded to four decimals, as older code
    wrote it, ``value`` is rounded likewise. The texts have two decimals, or as many as show a difference.
    """
    other = float(tag)
    mine = round(value, 4) if ROUNDED.fullmatch(tag) else value
    digits = next((n for n in range(2, 17) if mine == other or f"{mine:.{n}f}" != f"{other:.{n}f}"), 17)
    return mine > other, f"{mine:.{digits}f}", f"{other:.{digits}f}"
