"""The run of a process that takes part in distributed training but does not lead it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.runs import Run


class NullRun(Run):
    """The run of a process that only takes part in distributed training: it writes nothing."""

    def __init__(self, run_id: str, folder: Path) -> None:
        self.run_id, self.folder, self.is_offline = run_id, folder, False

    def log(self, step: int, metrics: Mapping[str, float], at_ms: int = 0) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def params(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tags(self, tags: Mapping[str, Any]) -> None:
        """Do nothing."""

    def finish(self, status: str = "FINISHED") -> None:
        """Do nothing."""

    def refuse(self) -> None:
        """Do nothing."""

    def fail(self, error: BaseException) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Do nothing."""
