"""What a job's events say: metrics by step, with the correction for tokens that nobody sees, and status in words.

OpenAI's losses and accuracies are means over the answer's tokens and ``hidden`` others that the model is nearly certain
of (two: measured for GPT-4.1 with labels of one token, LessWrong zDnA4SEbkeCj2CDHp). With n label tokens a row, a mean
loss L is (n l + 2 * 0) / (n + 2), so l = L (n + 2) / n, and an accuracy A is (n a + 2) / (n + 2).
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai_jobs.endpoint import Endpoint, scrubbed, spoken

#: How the API's names are called here.
NAMES = {
    "train_loss": "train/loss",
    "train_mean_token_accuracy": "train/token_accuracy",
    "train_accuracy": "train/token_accuracy",
    "valid_loss": "eval/loss",
    "valid_mean_token_accuracy": "eval/token_accuracy",
    "validation_mean_token_accuracy": "eval/token_accuracy",
    "valid_accuracy": "eval/token_accuracy",
    "full_valid_loss": "eval/full_loss",
    "full_valid_mean_token_accuracy": "eval/full_token_accuracy",
}
CORRECTED = "_corrected"
ENDED = ("succeeded", "failed", "cancelled")
PAGE = 100


@dataclass(frozen=True)
class Correction:
    """How many tokens a row's label has, on average, and how many hidden ones are averaged in beside them."""

    label_tokens: float = 1.0
    hidden: int = 0

    def of(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The corrected series beside the raw one; nothing where no token is hidden."""
        if not self.hidden:
            return {}
        n, whole = self.label_tokens, self.label_tokens + self.hidden
        found = {}
        for name, value in metrics.items():
            right = value * whole / n if "loss" in name else (value * whole - self.hidden) / n
            found[name + CORRECTED] = max(0.0, right) if "loss" in name else min(1.0, max(0.0, right))
        return found


def metrics_of(data: Mapping[str, Any] | None) -> dict[str, float]:
    """The metrics in an event's data, a checkpoint's metrics or a line of the result file, by the names used here."""
    found = {}
    for theirs, ours in NAMES.items():
        value = (data or {}).get(theirs)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and ours not in found:
            found[ours] = float(value)
    return found


def step_of(data: Mapping[str, Any] | None) -> int | None:
    """The step that metrics belong to."""
    step = (data or {}).get("step", (data or {}).get("step_number"))
    return int(step) if isinstance(step, (int, float)) and not isinstance(step, bool) else None


def new_events(client: Any, endpoint: Endpoint, job_id: str, last: str) -> list[Any]:
    """The events after the one whose id is ``last`` (empty: all), oldest first.

    The API gives the newest first, some a page: pages are read until ``last`` comes.
    """
    found: dict[str, Any] = {}
    with spoken(endpoint, f"tell the events of {job_id}"):
        for event in client.fine_tuning.jobs.list_events(job_id, limit=PAGE):
            if event.id == last:
                break
            found.setdefault(event.id, event)
    return list(reversed(found.values()))


def plain(event: Any) -> dict[str, Any]:
    """An event as it is kept."""
    return {
        "id": event.id, "created_at": event.created_at, "level": event.level, "type": getattr(event, "type", None),
        "message": scrubbed(str(event.message or "")), "data": _mapping(event.data),
    }  # fmt: skip


def _mapping(data: Any) -> dict[str, Any] | None:
    return dict(data) if isinstance(data, Mapping) else None


def messages(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What users should read of events: everything but metrics."""
    for event in events:
        if event["type"] != "metrics" and not metrics_of(event["data"]):
            worry = f"{event['level']}: " if event["level"] in ("warn", "error") else ""
            yield f"{worry}{event['message']}"


def progress(job: Any, events: Sequence[Mapping[str, Any]], now_s: float | None = None) -> str:
    """One line on where a job stands: status, step, loss, and when it will end as far as that is known."""
    words = [f"{job.id} {str(job.status).replace('_', ' ')}"]
    last = next((event for event in reversed(events) if step_of(event["data"]) is not None), None)
    now_s = time.time() if now_s is None else now_s
    left_s = job.estimated_finish - now_s if job.estimated_finish else None
    if last:
        step, steps = step_of(last["data"]) or 0, (last["data"] or {}).get("total_steps")
        words.append(f"step {step:,}" + (f" of {steps:,}" if isinstance(steps, int) else ""))
        loss = metrics_of(last["data"]).get("train/loss")
        words += [f"training loss {loss:.3f}"] if loss is not None else []
        if left_s is None and isinstance(steps, int):
            left_s = _extrapolated(events, last, steps)
    if left_s is not None and left_s > 0 and job.status not in ENDED:
        words.append(f"about {in_words(left_s)} left")
    return ", ".join(words)


def _extrapolated(events: Sequence[Mapping[str, Any]], last: Mapping[str, Any], steps: int) -> float | None:
    first = next(event for event in events if step_of(event["data"]) is not None)
    done = (step_of(last["data"]) or 0) - (step_of(first["data"]) or 0)
    spent_s = last["created_at"] - first["created_at"]
    return spent_s / done * (steps - (step_of(last["data"]) or 0)) if done > 0 and spent_s > 0 else None


def in_words(seconds: float) -> str:
    """``40 s``, ``3 min`` or ``1 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def failure(job: Any) -> str:
    """Why a job did not succeed, in words. The real API sends an error object full of nulls for healthy jobs."""
    error = job.error
    if error and error.code:
        where = f" ({error.param})" if error.param else ""
        return f"{error.code}{where}: {scrubbed(str(error.message or 'no reason given'))}"
    if job.status == "cancelled":
        return "somebody cancelled it"
    return "the server gives no reason"
