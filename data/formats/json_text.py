"""JSON texts as records: an array of objects, one object a line, or objects one after another over several lines."""

import json
import re
from typing import Any

from data.formats.records import CONVERSATIONS, Parsed, Record, layout_of
from data.formats.texts import kind_of

#: What may stand between values; a byte order mark where files were put together.
BLANK = re.compile(r"[\s\ufeff]*")
#: What stands where a JSON value or a name is expected, and what to do about it.
HINTS = (
    (re.compile("'"), "single quotes are no JSON but Python: write rows with json.dumps"),
    (re.compile(r"(None|True|False)\b"), "this is no JSON but Python: write rows with json.dumps"),
    (re.compile("[\u201c\u201d\u2018\u2019]"), "curly quotation marks are no JSON: write straight ones"),
    (re.compile(","), "no comma may stand here: remove it"),
)


ARRAYS = "; it holds several arrays: write one, or one object a line"
CHATS = '; a line is an object: write {"messages": [...]} around the list of each'
SAME_LINE = "; write one object a line, or [ and ] around them all and commas between them"


class BrokenJson(ValueError):
    """A text that is no JSON: ``place`` (line and column), and ``problem``, with what to do where that is known."""

    def __init__(self, place: str, problem: str) -> None:
        self.place = place
        self.problem = problem
        super().__init__(f"{place}: {problem}")


class Values:
    """The JSON values of one text, decoded from the front; ``position`` is where the next one begins."""

    def __init__(self, text: str, lines_before: int = 0, is_end: bool = True) -> None:
        self.text = text
        self.position = 0
        self._lines_before = lines_before
        self._is_end = is_end
        self._twice: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._skip()

    @property
    def is_done(self) -> bool:
        """Whether nothing but blanks is left."""
        return self.position >= len(self.text)

    def take(self, sign: str) -> bool:
        """Skip ``sign`` where it comes next; False where it does not."""
        found = self.text.startswith(sign, self.position)
        if found:
            self.position += len(sign)
            self._skip()
        return found

    def next(self) -> tuple[Any, list[str]]:
        """(the next value, its keys that stand twice in one object).

        Raises:
            BrokenJson: no JSON value begins here, or it does not end.
        """
        self._twice = []
        try:
            value, self.position = self._decoder.raw_decode(self.text, self.position)
        except (ValueError, RecursionError) as error:
            raise self._broken(error) from error
        self._skip()
        return value, list(dict.fromkeys(self._twice))

    def fail(self, message: str, hint: str = "") -> BrokenJson:
        """The error that ``message`` is wrong here, to be raised."""
        return self._broken(json.JSONDecodeError(message, self.text, self.position), hint)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            keys = [key for key, _ in pairs]
            self._twice += [key for key in value if keys.count(key) > 1]
        return value

    def _skip(self) -> None:
        found = BLANK.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def _broken(self, error: Exception, hint: str = "") -> BrokenJson:
        if not isinstance(error, json.JSONDecodeError):
            return BrokenJson(f"line {self._lines_before + 1}", f"it can't be read as JSON ({str(error)[:80]})")
        at_end = error.pos >= len(self.text.rstrip()) or error.msg.startswith("Unterminated string")
        if at_end and self._is_end:
            hint = "; the file looks cut off"
        if self.text[error.pos : error.pos + 1] in ("}", "]") and error.msg.startswith("Expecting"):
            hint = "; a comma before it has nothing after it: remove the comma"
        if error.msg.startswith("Expecting") and not error.msg.startswith("Expecting ','"):
            hint = next((f"; {advice}" for sign, advice in HINTS if sign.match(self.text, error.pos)), hint)
        place = f"line {error.lineno + self._lines_before} column {error.colno}"
        return BrokenJson(place, f"broken JSON ({error.msg}){hint}")


def twice_problem(keys: list[str]) -> str:
    """What is wrong with an object in which ``keys`` stand twice: JSON readers keep one of the values, unasked."""
    return f"the key {' and '.join(map(repr, keys))} stands twice in one object; keep one"


def parse_json(text: str, name: str) -> Parsed:
    """Records of a JSON array of objects; what does not begin with a bracket is read as ``parse_lines`` does."""
    return _array(text, name) if text.lstrip().startswith("[") else parse_lines(text, name)


def parse_lines(text: str, name: str) -> Parsed:
    """Records of JSON lines, or of objects one after another that are each written over several lines."""
    if text.lstrip().startswith("["):
        return _array(text, name)
    values = Values(text)
    try:
        first, _ = values.next()
    except BrokenJson as error:
        is_pretty = text.strip().partition("\n")[0].rstrip() == "{"
        return ([], [f"{name} {error}"]) if is_pretty else _lines(text, name)
    if values.is_done:
        return _single(first, text, name)
    is_line = "\n" not in text[: values.position].strip()
    return _lines(text, name) if is_line else _sequence(text, name)


def _single(value: Any, text: str, name: str) -> Parsed:
    """The one value of a text: a record, or an object around the rows that were meant."""
    if not isinstance(value, dict):
        return [], [f"{name}: it holds {kind_of(value)}, not an array of objects"]
    advice = _wrapped(value)
    if advice:
        return [], [f"{name}: it holds an object, not an array of objects; {advice}"]
    return _lines(text, name) if "\n" not in text.strip() else _sequence(text, name)


def _wrapped(value: dict[str, Any], path: str = "") -> str:
    """How to get at the rows that ``value`` holds; empty where it is a row itself, or holds none."""
    layout = layout_of(value)
    if layout and layout[0] not in CONVERSATIONS:
        kinds = {type(value[column]) for column in layout}
        firsts = [next(iter(value[column]), None) for column in layout] if kinds == {list} else []
        is_columns = kinds == {dict} or (kinds == {list} and not any(isinstance(first, dict) for first in firsts))
        return "its columns are lists: write one object a row (pandas: orient='records')" if is_columns else ""
    for key, held in value.items():
        first = next(iter(held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()), None)
        is_row = isinstance(first, dict) and bool(layout_of(first))
        if isinstance(held, list) and (is_row or (not layout and isinstance(first, (dict, list)))):
            return f'take out the list under "{path}{key}"'
        if isinstance(held, dict) and not layout:
            if is_row:
                return f'write the objects under "{path}{key}" as a list'
            if layout_of(held):
                return "write its objects as a list"
            inner = _wrapped(held, f"{path}{key}.")
            if inner:
                return inner
    return ""


def _array(text: str, name: str) -> Parsed:
    found: list[Record] = []
    problems: list[str] = []
    values = Values(text)
    values.take("[")
    try:
        is_closed = values.take("]")
        while not is_closed:
            _add(values, f"{name} row {len(found) + 1}", found, problems)
            is_closed, position = values.take("]"), values.position
            if not is_closed and not values.take(","):
                raise values.fail("Expecting ',' delimiter")
            if not is_closed and values.take("]"):
                values.position = position
                raise values.fail("a comma stands before the closing bracket", "; remove the comma")
        if not values.is_done and values.text[values.position] in "[{":
            first = found[0].value if found else None
            is_chat = isinstance(first, dict) and not {"role", "from"}.isdisjoint(first)
            return [], [f"{name} {values.fail('Extra data', CHATS if is_chat else ARRAYS)}"]
        if not values.is_done:
            raise values.fail("Extra data")
    except BrokenJson as error:
        problems.append(f"{name} {error}")
    return found, problems


def _sequence(text: str, name: str) -> Parsed:
    found: list[Record] = []
    problems: list[str] = []
    values = Values(text)
    try:
        while not values.is_done:
            if found and values.text.startswith(",", values.position):
                raise values.fail("a comma stands between two objects", "; put [ and ] around them all")
            _add(values, f"{name} row {len(found) + 1}", found, problems)
    except BrokenJson as error:
        problems.append(f"{name} {error}")
    return found, problems


def _add(values: Values, where: str, found: list[Record], problems: list[str]) -> None:
    value, twice = values.next()
    found.append(Record(where, value))
    if twice:
        problems.append(f"{where}: {twice_problem(twice)}")


def _lines(text: str, name: str) -> Parsed:
    """Blank lines are skipped. A broken line is a problem of its own, the others are still read."""
    found: list[Record] = []
    problems: list[str] = []
    # Not splitlines(): it also cuts at U+2028 and the like, which JSON allows within a string.
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for row, (number, line) in enumerate(lines, 1):
        where = f"{name} {place_of(row, number)}"
        try:
            value, twice = line_value(line, number - 1, is_end=row == len(lines))
        except BrokenJson as error:
            problems.append(f"{name} row {row}, {error}")
            continue
        found.append(Record(where, value))
        if twice:
            problems.append(f"{where}: {twice_problem(twice)}")
    return found, problems


def line_value(line: str, lines_before: int = 0, is_end: bool = True) -> tuple[Any, list[str]]:
    """(the value of a line of JSON, its keys that stand twice); ``is_end``: no line follows, so it may be cut off.

    Raises:
        BrokenJson: it is none.
    """
    values = Values(line, lines_before, is_end)
    found = values.next()
    if not values.is_done:
        rest = line.rstrip()[values.position :]
        if rest == ",":
            raise values.fail("a comma ends the line", "; lines of JSON have none")
        raise values.fail("Extra data", SAME_LINE if rest[0] in ",{" else "")
    return found


def place_of(row: int, line: int) -> str:
    """``row 7``, or ``row 7 (line 9)`` where the two differ."""
    return f"row {row}" if row == line else f"row {row} (line {line})"
