"""The aliases of champions: of the versions that were trained on the same data with the same noise, the best one.

``champion`` is the alias of those that a model's first champion belongs to. Others have aliases of their own,
``champion-DATA`` or ``champion-DATA-NOISE``: versions of other data, and those whose labels were made wrong on purpose,
are no rivals, a clean control included.
"""

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
    """Whether the alias moved, and why or why not. ``stays``: the version that keeps it; empty where there is none."""

    moved: bool
    reason: str
    alias: str = CHAMPION
    stays: str = ""

    @property
    def sentence(self) -> str:
        """The same in words."""
        of = "" if self.alias == CHAMPION else f" ({self.alias})"
        if self.moved:
            return f"it is the champion now{of}: {self.reason}"
        if self.stays:
            return f"the champion did not move{of}: {self.reason}"
        return f"no champion yet{of}: {self.reason}"


def promote(
    version: Version,
    metric: str,
    value: float,
    test_digest: str,
    against: Callable[[Version], Promotion | None] = lambda current: None,
    least_gain: float = 0.0,
    refused: str = "",
) -> Promotion:
    """Make ``version`` champion if it is healthy and better than the champion on the same test rows.

    Args:
        against: compares it with the champion; where it returns None, ``value`` (higher is better) decides, which
            must be higher by ``least_gain``.
        refused: why it may not become champion whatever its value is; empty where it may.
    """
    alias = alias_of(version)
    if not refused and version.tags.get("verdict") != "healthy":
        refused = f"its verdict is {version.tags.get('verdict')}"
    current = find_alias(version.name, alias)
    if current is None and not refused:
        try:
            _set(version, alias)
            return Promotion(True, "it is the first healthy version", alias)
        except MlflowException:  # another process set the alias in between: the database has it once
            current = find_alias(version.name, alias)
            if current is None:
                raise
    rival = f"{version.name}/{current.number}" if current else ""
    if refused or current is None:
        return Promotion(False, refused, alias, rival)
    theirs = current.tags.get(f"test/{metric}")
    if current.tags.get("test_digest") != test_digest or theirs is None:
        return Promotion(False, f"{rival} was measured on other test rows, so the two can't be compared", alias, rival)
    found = against(current) or _by_value(rival, metric, value, theirs, least_gain)
    if found.moved:
        _set(version, alias)
    return Promotion(found.moved, found.reason, alias, rival)


def alias_of(version: Version) -> str:
    """The alias that ``version`` may get: ``champion``, or the one of its data and noise.

    Versions of older code have no tag ``data``: they are of the same data where their test rows are the same.
    """
    current = find_alias(version.name, CHAMPION)
    data, noise = version.tags.get("data", ""), _noise(version)
    if current:
        same = [current.tags[tag] == version.tags[tag] for tag in ("data", "test_digest")
                if tag in current.tags and tag in version.tags]  # fmt: skip
        if noise == _noise(current) and (any(same) or not same):
            return CHAMPION
    elif not noise:
        return CHAMPION
    return re.sub(r"[^a-zA-Z0-9_-]", "_", "-".join(filter(None, [CHAMPION, data, noise.replace(" ", "-")])))


def _noise(version: Version) -> str:
    """Kind and rate of the wrong labels: ``symmetric 0.3``, ``clean`` for a control; empty where none was asked for."""
    noise, rate = version.tags.get("noise", ""), version.tags.get("rate", "0")
    if noise:
        return "clean" if noise.endswith(" 0") else noise
    return "" if rate == "0" else f"turned {rate}"


def _set(version: Version, alias: str) -> None:
    MlflowClient().set_registered_model_alias(version.name, alias, str(version.number))


def _by_value(rival: str, metric: str, value: float, theirs: str, least_gain: float) -> Promotion:
    is_better, mine, rivals = compare(value, theirs)
    if is_better and value - float(theirs) >= least_gain:
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
