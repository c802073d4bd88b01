"""The events of a fine-tuning job: read in order, each stored once, their metrics logged to the run.

OpenAI's losses and accuracies are means over the answer's tokens and ``hidden`` others that the model is nearly certain
of (two: measured for GPT-4.1 with labels of one token, LessWrong zDnA4SEbkeCj2CDHp). With n label tokens a row, a mean
loss L is (n l + 2 * 0) / (n + 2), so l = L (n + 2) / n, and an accuracy A is (n a + 2) / (n + 2).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai_jobs.endpoint import redact, translate_errors
from openai_jobs.exactly_once import append
from openai_jobs.jobs import JobClient
from registry.runs import Run

#: The API's names of metrics -> the names here.
METRIC_NAMES = {
    "train_loss": "train/loss",
    "train_mean_token_accuracy": "train/token_accuracy",
    "train_accuracy": "train/token_accuracy",
    "valid_loss": "eval/loss",
    "valid_mean_token_accuracy": "eval/token_accuracy",
    "validation_mean_token_accuracy": "eval/token_accuracy",
    "valid_accuracy": "eval/token_accuracy",
    "full_valid_loss": "eval/full_loss",
    "full_valid_mean_token_accuracy": "eval/full_token_accuracy",
    "train_mean_reward_accuracy": "train/reward_accuracy",
    "train_mean_reward_margin": "train/reward_margin",
    "valid_mean_reward_accuracy": "eval/reward_accuracy",
    "valid_mean_reward_margin": "eval/reward_margin",
}
CORRECTED = "_corrected"
PAGE = 100
#: An event as it is stored: id, created_at, level, type, message, data.
EventRecord = dict[str, Any]


@dataclass(frozen=True)
class Correction:
    """Mean number of tokens of a row's label, and of hidden tokens that the API's means include beside them."""

    label_tokens: float = 1.0
    hidden: int = 0

    def of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The corrected metrics, named ``..._corrected``; empty where no token is hidden."""
        if not self.hidden:
            return {}
        n, total = self.label_tokens, self.label_tokens + self.hidden
        found = {}
        for name, value in metrics.items():
            corrected = value * total / n if "loss" in name else (value * total - self.hidden) / n
            found[name + CORRECTED] = max(0.0, corrected) if "loss" in name else min(1.0, max(0.0, corrected))
        return found


def metrics_of(data: Mapping[str, Any] | None) -> dict[str, float]:
    """The metrics in an event's data, a checkpoint's metrics or a row of the result file, by the names used here."""
    found = {}
    for api_name, name in METRIC_NAMES.items():
        value = (data or {}).get(api_name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in found:
            found[name] = float(value)
    return found


def step_of(data: Mapping[str, Any] | None) -> int | None:
    """The step that metrics belong to."""
    step = (data or {}).get("step", (data or {}).get("step_number"))
    return int(step) if isinstance(step, (int, float)) and not isinstance(step, bool) else None


def new_events(client: JobClient, job_id: str, last_id: str) -> list[EventRecord]:
    """The events after the one with id ``last_id`` (empty: all), oldest first.

    The API lists the newest first, a page at a time: pages are read until ``last_id`` is found.
    """
    found: dict[str, EventRecord] = {}
    with translate_errors(client.endpoint, f"list the events of {job_id}"):
        for event in client.sdk.fine_tuning.jobs.list_events(job_id, limit=PAGE):
            if event.id == last_id:
                break
            found.setdefault(event.id, _to_record(event))
    return list(reversed(found.values()))


def _to_record(event: Any) -> EventRecord:
    return {
        "id": event.id, "created_at": event.created_at, "level": event.level, "type": getattr(event, "type", None),
        "message": redact(str(event.message or "")),
        "data": dict(event.data) if isinstance(event.data, Mapping) else None,
    }  # fmt: skip


def messages(events: Iterable[EventRecord]) -> Iterator[str]:
    """The messages of events that hold no metrics; warnings and errors begin with their level."""
    for event in events:
        if event["type"] != "metrics" and not metrics_of(event["data"]):
            level = f"{event['level']}: " if event["level"] in ("warn", "error") else ""
            yield f"{level}{event['message']}"


class EventReader:
    """The events of a job, stored in ``path`` and as the run's metrics, each once however often it is restarted.

    Metrics are logged with their event's own time, so that the store keeps one that is logged again only once.
    """

    def __init__(self, run: Run, path: Path, correction: Correction) -> None:
        self.run, self.path, self.correction = run, path, correction
        self.events: list[EventRecord] = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            try:
                self.events.append(json.loads(line))
            except ValueError:  # a torn line: its event is read again
                continue
        self._ids = {event["id"] for event in self.events}
        self._last_steps: dict[str, int] = {}
        for event in self.events:
            self._new_metrics(event)

    @property
    def last_id(self) -> str:
        """The id of the last event, empty where there is none."""
        return self.events[-1]["id"] if self.events else ""

    @property
    def last_steps(self) -> list[int]:
        """The last step of every metric."""
        return list(self._last_steps.values())

    def add(self, events: Sequence[EventRecord]) -> list[EventRecord]:
        """Store the new ones of these events and return them; metrics go first, as stored events are not sent again."""
        fresh = [event for event in events if event["id"] not in self._ids]
        for event in fresh:
            step, metrics = step_of(event["data"]), self._new_metrics(event)
            if step is not None and metrics:
                self.run.log(step, {**metrics, **self.correction.of(metrics)}, event["created_at"] * 1000)
        if fresh:
            self.run.flush()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            append(self.path, [json.dumps(event, ensure_ascii=False) for event in fresh])
        self.events += fresh
        self._ids |= {event["id"] for event in fresh}
        return fresh

    def _new_metrics(self, event: EventRecord) -> dict[str, float]:
        """The event's metrics at steps after their last: a job that resumed from a checkpoint repeats some."""
        step = step_of(event["data"])
        if step is None:
            return {}
        found = {key: v for key, v in metrics_of(event["data"]).items() if step > self._last_steps.get(key, -1)}
        self._last_steps.update(dict.fromkeys(found, step))
        return found
