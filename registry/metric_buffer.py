"""Metrics on their way to MLflow: buffered, sent in batches, and kept in a file while the server does not answer."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

BATCH = 1000  # the most metrics that one log_batch call takes


class MetricBuffer:
    """The points of one run that the store does not have yet.

    Args:
        path: JSON Lines file, ``[key, value, time in ms, step]`` a line, for points that could not be sent.
        sent: by metric, the last step that the store has; points up to it are not sent again.
        about: what else MLflow knows of each point: ``model_id``, ``dataset_name``, ``dataset_digest``.
    """

    def __init__(
        self, path: Path, sent: Mapping[str, int] | None = None, about: Mapping[str, str] | None = None
    ) -> None:
        self.path = path
        self._about = dict(about or {})
        self._sent = dict(sent or {})
        self._points: list[Metric] = []

    def add(self, step: int, metrics: Mapping[str, float], at_ms: int = 0) -> None:
        """Buffer ``metrics`` at ``step``. Values that are not finite are left out: the store can't hold them.

        ``at_ms`` is when they were measured, 0 for now; the store keeps an equal point of an equal time only once.
        """
        now_ms = at_ms or int(time.time() * 1000)
        for key, value in metrics.items():
            if math.isfinite(value) and (at_ms or step > self._sent.get(key, -1)):
                self._points.append(Metric(key, float(value), now_ms, step, **self._about))

    def send(self, client: MlflowClient, run_id: str) -> None:
        """Send everything buffered, then remove the file.

        Raises:
            MlflowException, OSError: the server does not take it; what was not sent stays buffered.
        """
        while self._points:
            client.log_batch(run_id, metrics=self._points[:BATCH])
            del self._points[:BATCH]
        self.path.unlink(missing_ok=True)

    def write(self) -> None:
        """Write everything buffered to the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w") as file:
            for point in self._points:
                file.write(json.dumps([point.key, point.value, point.timestamp, point.step]) + "\n")

    def read(self) -> None:
        """Add what an earlier process wrote to the file."""
        if not self.path.is_file():
            return
        for line in self.path.read_text().splitlines():
            key, value, timestamp, step = json.loads(line)
            if step > self._sent.get(key, -1):
                self._points.append(Metric(key, value, timestamp, step))
        for point in self._points:  # the steps since the last resume point are trained again: not twice in here
            self._sent[point.key] = max(point.step, self._sent.get(point.key, -1))
