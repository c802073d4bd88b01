"""Claims written down before a training: which metrics must change, or stay, by how much. Read from YAML.

    claims:
      - lexicon_rate: {at_least: +0.50}    # a sign: the change, tuned less base
      - content_rate: {above: 0.85}        # no sign: the tuned model's own value
    keeps:
      - everyday/perplexity: {within: 5%}  # the change, relative to the base
      - stop_rate: {not_below: -0.03}
    alpha: 0.05

Numbers are read as they are written, because a sign has a meaning here that YAML's own numbers lose.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from data.errors import ConfigError, DataError

#: What a bound is on: the change in the metric's unit, the change relative to the base, or the tuned model's value.
Quantity = Literal["change", "relative", "level"]
#: Each word with the side of the value on which its bound lies.
LOW, HIGH = ("at_least", "above", "not_below"), ("at_most", "below", "not_above")
WORDS = {"claims": ("at_least", "at_most", "above", "below"), "keeps": ("within", "not_below", "not_above")}
OF, WITHIN = "of", "within"
NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(e[+-]?\d+)?( ?%)?", re.IGNORECASE)
ALPHA, ALPHAS = 0.05, (0.001, 0.2)


@dataclass(frozen=True)
class Line:
    """One claim, or one keep: that a quantity of ``metric`` is at least ``low`` and at most ``high``.

    ``low`` and ``high`` are infinite where there is no such bound. ``text`` is the line as it was written.
    """

    metric: str
    is_keep: bool
    quantity: Quantity
    low: float
    high: float
    text: str

    @property
    def is_range(self) -> bool:
        """Whether both bounds are given, as for an equivalence."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def units(self) -> str:
        """What the metric is measured on: ``suite items`` of a retention suite, else ``test rows``."""
        return "suite items" if "/" in self.metric else "test rows"


@dataclass(frozen=True)
class Claims:
    """All lines of a file, in order, and the level ``alpha`` that they share. ``text`` is the file."""

    lines: tuple[Line, ...]
    alpha: float = ALPHA
    text: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the text, as ``sha256sum`` gives it."""
        return sha256(self.text.encode()).hexdigest()


def load(place: str, known: Mapping[str, tuple[float, float]]) -> Claims:
    """Read a file of claims.

    Args:
        known: the range of every metric that the run will measure in pairs, by name.

    Raises:
        ConfigError: there is no such file.
        DataError: what is wrong with it, one line each with the file's name and line.
    """
    try:
        text = Path(place).expanduser().read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ConfigError(f"claims={place} can't be read: {reason}") from None
    return parse(text, Path(place).name, known)


def parse(text: str, name: str, known: Mapping[str, tuple[float, float]]) -> Claims:
    """The claims in ``text``; ``name`` stands for the file in errors. See ``load``.

    Raises:
        DataError: what is wrong with it, one line each.
    """
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        raise DataError([f"{name}{line}: {getattr(error, 'problem', None) or error}"]) from None
    reader = _Reader(name, known)
    claims = Claims(tuple(reader.lines(root)), reader.alpha, text)
    if not reader.problems and not claims.lines:
        reader.problems.append(f"{name}: there is no claim and no keep in it")
    if reader.problems:
        raise DataError(reader.problems)
    return claims


class _Problem(Exception):
    """What is wrong at a place of the file."""

    def __init__(self, node: Any, problem: str) -> None:
        super().__init__(problem)
        self.line = node.start_mark.line + 1


class _Reader:
    """Reads one file; ``problems`` fills while ``lines`` is consumed."""

    def __init__(self, name: str, known: Mapping[str, tuple[float, float]]) -> None:
        self.name, self.known = name, known
        self.problems: list[str] = []
        self.seen: set[Line] = set()
        self.alpha = ALPHA

    def lines(self, root: Any) -> Iterator[Line]:
        """Every line that can be read."""
        try:
            sections = _pairs(root, "claims, keeps and alpha")
        except _Problem as problem:
            self._note(problem)
            return
        for key, node in sections:
            try:
                if key.value == "alpha":
                    self.alpha = _alpha(node)
                elif key.value in WORDS:
                    yield from self._section(key.value, node)
                else:
                    raise _Problem(key, f"there is no {key.value!r}; there are claims, keeps and alpha")
            except _Problem as problem:
                self._note(problem)

    def _section(self, section: str, node: Any) -> Iterator[Line]:
        form = "a list of - METRIC: {WORD: NUMBER}"
        if node.id != "sequence":
            raise _Problem(node, f"{section} is {form}")
        for item in node.value:
            try:
                for key, bounds in _pairs(item, form):
                    line = self._line(section, key, bounds)
                    if line in self.seen:
                        raise _Problem(key, f"{line.text} stands twice")
                    self.seen.add(line)
                    yield line
            except _Problem as problem:
                self._note(problem)

    def _line(self, section: str, key: Any, node: Any) -> Line:
        metric = key.value
        if metric not in self.known:
            suite = metric.partition("/")[0]
            missing = f"no metric {metric!r} is measured in pairs here"
            if suite != metric and not any(name.startswith(f"{suite}/") for name in self.known):
                where = "which suites=NAMES chooses in -e pirate and -e dpo"
                raise _Problem(key, f"{missing}: {suite} is none of this run's suites, {where}")
            raise _Problem(key, f"{missing}; there is {', '.join(self.known)}")
        words = WORDS[section]
        given = _pairs(node, f"{metric}: {{{words[0]}: NUMBER}}")
        of = next((value for word, value in given if word.value == OF), None)
        if of is not None and of.value not in ("change", "level"):
            raise _Problem(of, f"of is change (tuned less base) or level (the tuned model's value), not {of.value!r}")
        bounds = [(word, value) for word, value in given if word.value != OF]
        for word, _ in bounds:
            if word.value not in words:
                raise _Problem(word, f"{section} take {', '.join(words)}, not {word.value!r}")
        if not bounds:
            raise _Problem(node, f"{metric} has no bound: one of {', '.join(words)}")
        return _bounded(section == "keeps", key, bounds, of.value if of else "", self.known[metric])

    def _note(self, problem: _Problem) -> None:
        self.problems.append(f"{self.name} line {problem.line}: {problem}")


def _bounded(is_keep: bool, key: Any, bounds: list[tuple[Any, Any]], of: str, limits: tuple[float, float]) -> Line:
    low, high, quantities = -math.inf, math.inf, set()
    for word, node in bounds:
        number, sign, percent = _number(node)
        is_change = of == "change" or (not of and (bool(sign) or word.value == WITHIN))
        if percent and not is_change:
            raise _Problem(node, f"{node.value} is relative to the base, so it needs a sign, such as +{node.value}")
        if word.value == WITHIN and (sign or of == "level" or number <= 0):
            raise _Problem(
                node, f"within is the most that the change may be either way: a number above 0, not {node.value}"
            )
        quantities.add("relative" if percent else "change" if is_change else "level")
        _require_reachable(node, number, "relative" if percent else "change" if is_change else "level", limits)
        if word.value == WITHIN or word.value in LOW:
            low = max(low, -number if word.value == WITHIN else number)
        if word.value == WITHIN or word.value in HIGH:
            high = min(high, number)
    if len(quantities) > 1:
        raise _Problem(bounds[0][1], f"{key.value} has bounds of different kinds; write them as lines of their own")
    if low >= high:
        raise _Problem(bounds[0][1], f"{key.value} can't be at least {low:g} and at most {high:g}")
    text = ", ".join(f"{word.value} {node.value}" for word, node in bounds)
    return Line(key.value, is_keep, quantities.pop(), low, high, f"{key.value} {text}")


def possible(quantity: Quantity, limits: tuple[float, float]) -> tuple[float, float]:
    """The least and the largest value that a quantity can have, of a metric that lies within ``limits``."""
    low, high = limits
    return {"level": (low, high), "change": (low - high, high - low), "relative": (-1.0, math.inf)}[quantity]


def _require_reachable(node: Any, number: float, quantity: Quantity, limits: tuple[float, float]) -> None:
    low, high = possible(quantity, limits)
    if not low <= number <= high:
        what = {"change": "a change", "level": "a value", "relative": "a relative change"}[quantity]
        raise _Problem(node, f"{node.value} is no bound on {what} that lies between {low:g} and {high:g}")


def _number(node: Any) -> tuple[float, str, bool]:
    """(value, its sign as written, whether it is a percentage: then the value is a share)."""
    found = NUMBER.fullmatch(str(node.value).strip().replace("−", "-")) if node.id == "scalar" else None
    if not found:
        raise _Problem(node, "a bound is a number such as +0.50, -0.03, 0.85 or 5%")
    sign, digits, power, percent = found.groups()
    value = float(f"{sign}{digits}{power or ''}")
    return (value / 100 if percent else value), sign, bool(percent)


def _alpha(node: Any) -> float:
    value, sign, percent = _number(node)
    if sign or percent or not ALPHAS[0] <= value <= ALPHAS[1]:
        raise _Problem(node, f"alpha is from {ALPHAS[0]:g} to {ALPHAS[1]:g}, not {node.value}")
    return value


def _pairs(node: Any, form: str) -> list[tuple[Any, Any]]:
    """The keys and values of a mapping, each key once."""
    if node is None:
        return []
    if node.id != "mapping" or any(key.id != "scalar" for key, _ in node.value):
        raise _Problem(node, f"here belongs {form}")
    names = [key.value for key, _ in node.value]
    for number, (key, _) in enumerate(node.value):
        if key.value in names[:number]:
            raise _Problem(key, f"{key.value} stands twice")
    return list(node.value)
