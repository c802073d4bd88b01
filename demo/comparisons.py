"""Comparisons of two versions that the page starts: ``-e compare`` in a process of its own, which outlives the page."""

import re
from pathlib import Path

from demo.step_process import StepProcess, StepProcesses

#: What the step prints -> what it does next.
PHASES = {r"Compare ": "reading the versions", r"Answers (.+)": r"answers of \1", r"Rows ": "comparing them row by row"}


class Comparisons:
    """Starts, stops and finds comparisons. ``outputs``: where their processes keep what they print."""

    def __init__(self, outputs: Path) -> None:
        self.processes = StepProcesses(outputs)

    def start(self, left: str, right: str) -> None:
        """Compare the version ``right`` with ``left``; one that is under way goes on."""
        name = _process(left, right)
        found = self.processes.find(name)
        if found is None or not found.is_running:
            self.processes.start(name, "compare", {"versions": f"{left},{right}"})

    def stop(self, left: str, right: str) -> None:
        """Stop a comparison.

        Raises:
            UserError: it is not under way.
        """
        self.processes.stop(_process(left, right))

    def running(self, left: str, right: str) -> StepProcess | None:
        """The comparison, where it is under way."""
        found = self.processes.find(_process(left, right))
        return found if found and found.is_running else None

    def outcome(self, left: str, right: str) -> tuple[str, str]:
        """How a comparison that left no result has ended: ``stopped`` or ``failed``, and a line that says why."""
        found = self.processes.find(_process(left, right))
        state, why = found.outcome if found else ("failed", "")
        return state, why or f"the comparison of {right} with {left} was {state}"


def phase(text: str) -> str:
    """What a comparison that has printed ``text`` does now."""
    now = "starting"
    for line in text.splitlines():
        for pattern, words in PHASES.items():
            found = re.match(pattern, line)
            now = found.expand(words) if found else now
    return now


def _process(left: str, right: str) -> str:
    return f"comparison of {left} and {right}"
