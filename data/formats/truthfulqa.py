"""Questions with right and wrong answers: TruthfulQA as its CSV, its ``mc_task.json`` or on the hub, and own files.

A file of one's own has ``question``, ``best`` and ``incorrect`` (several are set apart by "; ", or a JSON list), and
may have ``correct``, ``best_incorrect``, ``category`` and ``type``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import DataError
from data.formats import files, hub
from data.formats.records import Record
from data.formats.texts import kind_of, line_ends, text_problem
from data.labelled import QuestionRow

HUB_NAME = "truthfulqa/truthful_qa@generation:validation"
#: Our names and those that the published files use, in lower case with spaces as underscores.
NAMES = {
    "best": ("best", "best_answer"),
    "incorrect": ("incorrect", "incorrect_answers"),
    "correct": ("correct", "correct_answers"),
    "best_incorrect": ("best_incorrect", "best_incorrect_answer"),
}
USED_COLUMNS = {name for names in NAMES.values() for name in names} | {
    "question", "category", "type", "mc1_targets", "mc2_targets"
}  # fmt: skip
EXPECTED = "expected question, best and incorrect"


#: The files of the published repository, the one whose answers are complete first.
PUBLISHED = ("mc_task*.json", "TruthfulQA*.csv")


def load(place: str) -> list[QuestionRow]:
    """The questions of a file, of the published file in a folder, or of a hub name; of the benchmark where it is empty.

    Raises:
        DataError: there is no such place, or everything that is wrong with the rows.
    """
    if not place:
        return from_hub()
    if not files.is_file(place):
        return questions(hub.records(place), [], place)
    path = Path(place).expanduser()
    return read(published_file(path) if path.is_dir() else path)


def is_in(folder: Path) -> bool:
    """Whether a file of the published repository is in ``folder``."""
    return any(any(folder.glob(pattern)) for pattern in PUBLISHED)


def published_file(folder: Path) -> Path:
    """The published file in ``folder``.

    Raises:
        DataError: there is none, or more than one of a kind.
    """
    for pattern in PUBLISHED:
        found = sorted(folder.glob(pattern))
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError([f"{folder}: name one of its files, {', '.join(path.name for path in found)}"])
    raise DataError([f"{folder}: there is no {' and no '.join(PUBLISHED)} in this folder; name a file"])


def from_hub() -> list[QuestionRow]:
    """TruthfulQA from the Hugging Face hub, or from its cache.

    Raises:
        DataError: the hub can't be reached, or the rows are not as expected.
    """
    return questions(hub.records(HUB_NAME), [], "truthfulqa")


def read(path: Path) -> list[QuestionRow]:
    """The questions of a file, in its order.

    Raises:
        DataError: with one problem for each thing that is wrong, anywhere in the file.
    """
    found, problems = files.parse_file(path, header_problems)
    return questions(found, problems, path.name)


def has_questions(record: Record) -> bool:
    """Whether a record looks like a question and not like a text with a label."""
    return isinstance(record.value, dict) and "question" in _plain(record.value)


def questions(found: Sequence[Record], problems: list[str], name: str) -> list[QuestionRow]:
    """Rows of unchecked records; ``name`` is that of their file.

    Raises:
        DataError: ``problems``, and everything that is wrong with the records.
    """
    rows, problems = [], list(problems)
    for position, record in enumerate(found):
        row, faults = _row(record, name.partition(".")[0], position)
        problems += [f"{record.where}: {problem}" for problem in faults]
        if row is not None:
            rows.append(row)
    if not found and not problems:
        problems.append(f"{name}: there are no rows in it")
    if problems:
        raise DataError(problems)
    return rows


def header_problems(header: list[str], where: str) -> list[str]:
    """What keeps the first line of a table from naming the columns that are needed."""
    plain = [plain_name(column) for column in header]
    missing = [want for want in ("best", "incorrect") if not set(NAMES[want]) & set(plain)]
    if "question" in plain and not missing:
        return []
    return [f"{where}: the first line must be a header; its columns are {', '.join(header)}; {EXPECTED}"]


def _row(record: Record, stem: str, position: int) -> tuple[QuestionRow | None, list[str]]:
    """(the row, what is wrong); there is no row where something is wrong."""
    if not isinstance(record.value, dict):
        return None, [f"it is {kind_of(record.value)}, not an object; {EXPECTED}"]
    value = _plain(record.value)
    best, correct, incorrect = _choices(value) if "mc1_targets" in value else _columns(value)
    question = value.get("question")
    texts = [("its question", question), ("its best answer", best)]
    texts += [("an answer", answer) for answer in (*correct, *incorrect)]
    faults = [problem for name, text in texts if (problem := text_problem(name, text))]
    if isinstance(best, str) and best.strip() in incorrect:
        faults.append(f"its best answer {best.strip()[:60]!r} is among the incorrect ones")
    if not incorrect:
        faults.append("it has no incorrect answer")
    if faults or not isinstance(question, str):
        return None, faults
    best = line_ends(best).strip()
    wrong, category, kind = (_optional(value, name) for name in (*NAMES["best_incorrect"][-1:], "category", "type"))
    wrong = wrong or _optional(value, "best_incorrect") or ""
    correct = correct if best in correct else (best, *correct)
    ident = f"{stem}-{position + 1}"
    return QuestionRow(
        line_ends(question).strip(), best, correct, incorrect, ident, position, record.where, wrong, 1, category, kind
    ), []


def _columns(value: dict[str, Any]) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """(best answer, correct answers, incorrect answers) as columns name them."""
    best, correct, incorrect = (
        next((value[name] for name in NAMES[want] if name in value), None) for want in ("best", "correct", "incorrect")
    )
    return best, _several(correct), _several(incorrect)


def _choices(value: dict[str, Any]) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The same as ``mc_task.json`` gives it: choices with 1 or 0."""
    first, second = value["mc1_targets"], value.get("mc2_targets", {})
    if not isinstance(first, dict) or not isinstance(second, dict):
        return None, (), ()
    best = next((choice for choice, true in first.items() if true == 1), None)
    correct = [choice for choice, true in second.items() if true == 1]
    incorrect = [choice for choice, true in (second or first).items() if true == 0]
    return best, _several(correct), _several(incorrect)  # without the blank choices of the published file


def _several(value: Any) -> tuple[str, ...]:
    """Answers of a list, or of a text that sets them apart by semicolons; each once, in order."""
    parts = value.split(";") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []
    texts = [line_ends(part).strip() if isinstance(part, str) else part for part in parts]
    return tuple(dict.fromkeys(text for text in texts if text != ""))


def _optional(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found.strip() or None if isinstance(found, str) else None


def _plain(value: dict[Any, Any]) -> dict[str, Any]:
    return {plain_name(key): held for key, held in value.items()}


def plain_name(column: Any) -> str:
    """A column's name in lower case, with underscores for spaces."""
    return str(column).strip().lower().replace(" ", "_")
