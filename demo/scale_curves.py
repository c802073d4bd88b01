"""Metrics of a version against the scale of its adapter, which the page lets ``-e evaluate`` measure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from demo.lazy import import_lock
from demo.step_process import StepProcess, StepProcesses
from recipes.evaluation.config import SCALES, SCALES_RECORD

#: Held-out prompts that are answered at each scale.
PROMPTS = 24
_MEASURED = re.compile(r"^Scale   ", re.MULTILINE)


@dataclass(frozen=True)
class ScaleCurves:
    """What is known of a version. ``state``: absent, running, finished, stopped or failed.

    ``share``: of the work that is done, 0 to 1. ``record``: the newest ``scales.json``, None for none.
    """

    reference: str
    state: str
    share: float = 0.0
    phase: str = ""
    seconds: float = 0.0
    error: str = ""
    record: Mapping[str, Any] | None = None


class ScaleMeasurements:
    """Starts, stops and finds measurements of versions. ``outputs``: where their processes keep what they print."""

    def __init__(self, outputs: Path) -> None:
        self.processes = StepProcesses(outputs)

    def start(self, reference: str) -> None:
        """Measure the version ``reference``.

        Raises:
            UserError: it is being measured.
        """
        self.processes.start(_process(reference), "evaluate", settings(reference))

    def stop(self, reference: str) -> None:
        """Stop a measurement.

        Raises:
            UserError: it is not under way.
        """
        self.processes.stop(_process(reference))

    def find(self, reference: str) -> ScaleCurves:
        """What is known of the version: what is under way, how the last attempt ended, and the newest result.

        Raises:
            TrackingUnavailable: the tracking server does not answer.
        """
        process = self.processes.find(_process(reference))
        if process and process.is_running:
            return ScaleCurves(reference, "running", *_progress(process), process.seconds)
        with import_lock:
            from registry.report_files import find_scales
        run_id = find_scales(reference)
        record = _record(run_id) if run_id else None
        if process and (not record or process.run_id != run_id) and not _is_done(process):
            state, error = process.outcome
            return ScaleCurves(reference, state, error=error, record=record)
        return ScaleCurves(reference, "finished" if record else "absent", record=record)


def settings(reference: str) -> dict[str, Any]:
    """The settings of ``-e evaluate``."""
    return {"version": reference, "scales": "auto", "limit": PROMPTS}


def _process(reference: str) -> str:
    return f"scales of {reference}"


def _progress(process: StepProcess) -> tuple[float, str]:
    """The share of the work that is done, and what goes on: answers take half of the time, say."""
    measured = len(_MEASURED.findall(process.text))
    if "\nAnswers " in process.text:
        return 0.5 + 0.5 * measured / len(SCALES), f"measuring scale {min(measured + 1, len(SCALES))} of {len(SCALES)}"
    return (0.1, "answering at all scales") if "\nScales  " in process.text else (0.0, "loading the version")


def _is_done(process: StepProcess) -> bool:
    return "\nKept    in the run" in process.text


@lru_cache(16)
def _record(run_id: str) -> Mapping[str, Any] | None:
    with import_lock:
        from registry import report_files
    return report_files.load_json(run_id, SCALES_RECORD)
