"""Trainings that the page starts: each is a process of its own, and is found again by what MLflow has of its run."""

import base64
import binascii
import hashlib
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from data.atomic_write import atomic_write
from data.errors import UserError
from data.formats.table import FORMATS
from demo.lazy import import_lock
from demo.step_process import Children, command, environment, flags, last_line

if TYPE_CHECKING:
    from registry.run_records import RunRecord

#: Entry point -> what its rows are.
ENTRIES = {
    "pirate": "prompts and responses",
    "noisy": "texts with labels, some made wrong",
    "dpo": "preferences",
}
MOST_FILE_BYTES = 16 << 20
NAMED = "Run "
START_WAIT_S = 90.0
PAUSE_S = 0.1
GRACE_S = 10.0  # after which a training that was asked to stop is killed where it is asked again
RECENT = 12

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Training:
    """A run that was or is trained here. ``state``: running, elsewhere, interrupted, stopped, failed or finished.

    ``elsewhere``: MLflow has it as running, and no folder of it is on this machine.
    """

    record: "RunRecord"
    state: str
    can_resume: bool

    @property
    def is_live(self) -> bool:
        """Whether more is to come of it."""
        return self.state in ("running", "elsewhere")


class Trainings:
    """Starts, stops, resumes and finds trainings.

    Args:
        outputs: where runs keep what they need to be resumed; files that visitors bring are kept there, too.
    """

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs.absolute()
        self._checked: set[tuple[str, ...]] = set()
        self._children = Children()
        self._stopping: dict[str, float] = {}  # run id -> when it was asked to stop, monotonic seconds

    def keep_file(self, name: str, content: str) -> Path:
        """Keep the rows of a file that a visitor brings; the same content is kept once.

        Args:
            content: in base64.

        Raises:
            UserError: it is too large, or its name is none of a file of rows.
        """
        plain = PurePath(name.replace("\\", "/")).name
        if not plain.lower().endswith(tuple(suffix + packed for suffix in FORMATS for packed in ("", ".gz"))):
            raise UserError(f"{plain or 'the file'}: rows are read from {', '.join(FORMATS)}, or these with .gz")
        try:
            raw = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise UserError(f"{plain} did not arrive whole; try it again") from error
        if len(raw) > MOST_FILE_BYTES:
            raise UserError(
                f"{plain} has {len(raw) >> 20} MB; write the path of a file above {MOST_FILE_BYTES >> 20} MB"
            )
        path = self.outputs / "training_files" / hashlib.sha256(raw).hexdigest()[:12] / plain
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write_bytes(raw)
        return path

    def preview(self, entry: str, settings: Settings) -> Iterator[dict[str, Any]]:
        """The events of ``recipes.preview``, as they come; settings that pass can be started afterwards.

        Raises:
            UserError: a setting is wrong, or the preview ended without a result.
        """
        argv = [entry, *flags(settings)]
        is_good = True
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                command("preview", argv), env=environment(self.outputs), stdout=subprocess.PIPE, stderr=errors
            ) as process,
        ):
            assert process.stdout
            try:
                for line in process.stdout:
                    event = json.loads(line)
                    is_good = is_good and event["kind"] != "problems"
                    yield event
            except GeneratorExit:  # the visitor has gone
                process.kill()
                raise
            if process.wait():
                errors.seek(0)
                raise UserError(last_line(errors.read().decode(errors="replace")) or "the rows could not be checked")
        if is_good:
            self._checked.add(tuple(argv))

    def start(self, entry: str, settings: Settings) -> str:
        """Start a training whose rows were checked; returns its run's id.

        Raises:
            UserError: these settings were not checked, or the training ended at once.
        """
        argv = flags(settings)
        if (entry, *argv) not in self._checked:
            raise UserError("check the rows first: these settings have not been checked yet")
        return self._start(entry, argv)

    def train_on_votes(self, start: str, register_as: str) -> str:
        """Start ``-e dpo`` on the blind votes; returns its run's id.

        Raises:
            UserError: it ended at once.
        """
        settings = {"dataset": "votes", "start": start, "register_as": register_as, "sample_prompts": 3}
        return self._start("dpo", flags(settings))

    def resume(self, training: Training) -> str:
        """Continue a training that was stopped or interrupted; returns its run's id.

        Raises:
            UserError: it can't be continued, or ended at once.
        """
        record = training.record
        self._stopping.pop(record.run_id, None)
        if not training.can_resume:
            raise UserError(f"{record.name} can't go on: it is {training.state}, or what it needs is not here")
        return self._start(record.entry, [f"--resume={record.run_id}"])

    def stop(self, training: Training) -> None:
        """Ask a training to stop, as Ctrl-C does; one that was asked before and has not stopped is killed.

        Either way it can be resumed from its last evaluation.

        Raises:
            UserError: no process of this machine trains it.
        """
        from registry import run_process

        run_id = training.record.run_id
        waited_s = time.monotonic() - self._stopping.get(run_id, math.inf)
        if not run_process.stop(self.outputs / run_id, kill=waited_s > GRACE_S):
            raise UserError(f"{training.record.name} is not being trained on this machine")
        self._stopping.setdefault(run_id, time.monotonic())

    def recent(self) -> list[Training]:
        """The newest trainings, the newest first; cells of studies are left out.

        Raises:
            TrackingUnavailable: the tracking server does not answer.
        """
        with import_lock:
            from registry import run_records
        found = [record for record in run_records.recent(list(ENTRIES)) if not record.is_cell]
        return [self.of(record) for record in found[:RECENT]]

    def find(self, run_id: str) -> Training | None:
        """The training of a run; None where there is no such run.

        Raises:
            TrackingUnavailable: the tracking server does not answer.
        """
        with import_lock:
            from registry import run_records
        record = run_records.load(run_id) if run_id else None
        return record and self.of(record)

    def of(self, record: "RunRecord") -> Training:
        """The training of a run that was read from MLflow."""
        from registry import run_process

        self._children.collect()
        folder = self.outputs / record.run_id
        can_resume = record.entry in ENTRIES and (folder / "config.json").is_file()
        if record.status in ("RUNNING", "SCHEDULED"):
            if run_process.find(folder):
                return Training(record, "running", False)
            return Training(record, "interrupted" if can_resume else "elsewhere", can_resume)
        state = {"KILLED": "stopped", "FAILED": "failed"}.get(record.status, "finished")
        return Training(record, state, can_resume and state != "finished" and not run_process.find(folder))

    def _start(self, entry: str, argv: Sequence[str]) -> str:
        folder = self.outputs / "training_logs"
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{entry}-{os.urandom(2).hex()}.log"
        with log.open("wb") as out:
            process = self._children.start(entry, argv, self.outputs, out)
        until = time.monotonic() + START_WAIT_S
        while time.monotonic() < until:
            text = log.read_text(errors="replace")
            named = next((line for line in text.splitlines() if line.startswith(NAMED)), "")
            if named and text.partition(named)[2]:  # the whole line is there
                return named.split()[1]
            if process.poll() is not None:
                raise UserError(last_line(text) or f"the training has ended without a word; its log is {log}")
            time.sleep(PAUSE_S)
        raise UserError(f"the training has not begun within {START_WAIT_S:.0f} s; its log is {log}")
