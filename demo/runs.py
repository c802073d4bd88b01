"""The runs as the tab Runs lists them: what each is, its curve, and what its primary metric shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from demo.lazy import import_lock
from demo.training import Training, Trainings
from demo.training_progress import Progress, progress

if TYPE_CHECKING:
    from registry.run_records import Point, RunRecord

#: Entry points whose runs are listed.
LISTED = ("pirate", "noisy", "dpo", "base", "study")
MOST_READ, MOST_SHOWN = 300, 25
STATES = {"RUNNING": "running", "SCHEDULED": "running", "KILLED": "stopped", "FAILED": "failed"}
_reports: dict[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class RunRow:
    """One line of the list.

    ``line``: that of the primary metric in the run's report, with ``before``, ``after`` and ``change``; None where it
    has none. ``rows``: held-out rows that it was measured on. ``progress``: of a run that goes on.
    """

    record: "RunRecord"
    state: str
    train_loss: "Sequence[Point]"
    eval_loss: "Sequence[Point]"
    line: Mapping[str, Any] | None
    rows: int
    progress: Progress | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it goes on, or where its end is not known."""
        record = self.record
        return None if record.ended_s is None else record.ended_s - record.started_s

    @property
    def base(self) -> str:
        """The base model, by its own name; empty where ``auto`` has not chosen one, and for a study's TF-IDF."""
        wanted = self.record.params.get("base_model", "auto")
        return self.record.tags.get("base") or self.record.tags.get("base_name") or ("" if wanted == "auto" else wanted)

    @property
    def data(self) -> str:
        """The training data, by their own name."""
        return self.record.tags.get("data") or self.record.data


@dataclass(frozen=True)
class RunList:
    """The rows that are shown, how many fit, and how many cells of studies are not listed."""

    rows: Sequence[RunRow]
    fitting: int
    cells: int


def find(text: str = "", trainings: Trainings | None = None) -> RunList:
    """The newest runs whose name, data, base, verdict or version has every word of ``text``.

    Raises:
        TrackingUnavailable: the tracking server does not answer.
    """
    with import_lock:
        from registry import run_records
    found = run_records.recent(LISTED, MOST_READ)
    listed = [record for record in found if not record.is_cell]
    words = text.casefold().split()
    fitting = [record for record in listed if all(word in _searched(record) for word in words)]
    rows = [row_of(record, trainings) for record in fitting[:MOST_SHOWN]]
    return RunList(rows, len(fitting), len(found) - len(listed))


def row_of(record: "RunRecord", trainings: Trainings | None = None) -> RunRow:
    """The line of one run."""
    from registry import run_records

    state = trainings.of(record).state if trainings else STATES.get(record.status, "finished")
    report = _report(record)
    line = next((each for each in report.get("metrics", ()) if each["name"] == report["primary"]), None)
    if state == "running":
        now = progress(record)
        return RunRow(record, state, now.train_loss, now.eval_loss, line, report.get("rows", 0), now)
    train, evals = run_records.losses(record)
    return RunRow(record, state, train, evals, line, report.get("rows", 0))


def pair(chosen: str, trainings: Trainings | None = None) -> tuple[RunRow, RunRow]:
    """The two runs whose ids ``chosen`` holds.

    Raises:
        UserError: there are not two, or one is gone.
    """
    from registry import run_records

    ids = chosen.split()
    if len(ids) != 2:
        raise UserError(f"choose two runs to compare, not {len(ids)}")
    records = [run_records.load(each) for each in ids]
    first, second = (row_of(record, trainings) for record in records if record)
    return first, second


def one(run_id: str, trainings: Trainings | None = None) -> tuple[Training, Progress]:
    """A run with how far it is, its curves, and the answers to sample prompts that it kept at each evaluation.

    Raises:
        UserError: it is gone.
    """
    from registry import run_records

    record = run_records.load(run_id)
    if record is None:
        raise UserError("this run is gone; list the runs again")
    found = trainings.of(record) if trainings else Training(record, STATES.get(record.status, "finished"), False)
    return found, progress(record)


def different_settings(first: "RunRecord", second: "RunRecord") -> list[tuple[str, str, str]]:
    """(name, value, other value) of the params in which two runs differ; a dash where one has none."""
    names = sorted({*first.params, *second.params})
    both = [(name, first.params.get(name, "–"), second.params.get(name, "–")) for name in names]
    return [each for each in both if each[1] != each[2]]


def _searched(record: "RunRecord") -> str:
    tags = [
        record.tags.get(name, "") for name in ("verdict", "base", "base_name", "data", "registered_version", "kind")
    ]
    return " ".join([record.name, record.entry, record.data, record.status, record.run_id, *tags]).casefold()


def _report(record: "RunRecord") -> Mapping[str, Any]:
    """What the report of a finished run says of it; empty where it keeps none."""
    if record.status != "FINISHED":
        return {}
    if record.run_id not in _reports:
        from registry import report_files

        facts = report_files.load_json(record.run_id, report_files.RECORD) or {}
        _reports[record.run_id] = {name: facts[name] for name in ("primary", "metrics", "rows") if name in facts}
    return _reports[record.run_id]
