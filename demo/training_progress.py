"""How far a training is, by the metrics that its run has in MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from demo.lazy import import_lock

if TYPE_CHECKING:
    from registry.run_records import Point, RunRecord

RATE_POINTS = 12
SAMPLES = "samples.json"


@dataclass(frozen=True)
class Progress:
    """How far a training is. ``share``: of its steps, 0 to 1. Rates and times are None before they are known.

    ``samples``: records with step, prompt and answer. ``phase``: what goes on now.
    """

    share: float
    phase: str
    step: int
    epoch: float
    epochs: float
    tokens_per_s: float | None
    left_s: float | None
    train_loss: "Sequence[Point]" = ()
    eval_loss: "Sequence[Point]" = ()
    samples: Sequence[Mapping[str, Any]] = ()


def progress(record: "RunRecord") -> Progress:
    """How far the training of a run is, by its metrics."""
    with import_lock:
        from registry import run_records
    train, evals = run_records.losses(record)
    epochs = float(record.params.get("num_train_epochs") or record.params.get("epochs") or 0)
    epoch = record.metrics.get("epoch", 0.0)
    share = min(1.0, epoch / epochs) if epochs else 0.0
    tokens = _rate(run_records.history(record.run_id, "train/trained_tokens")) if train else None
    epochs_per_s = _rate(run_records.history(record.run_id, "epoch")) if train else None
    is_trained = share >= 1 or "verdict" in record.tags
    phase = "evaluating and registering" if is_trained else "training" if train else "loading"
    return Progress(
        share=share,
        phase=phase,
        step=train[-1].step if train else 0,
        epoch=epoch,
        epochs=epochs,
        tokens_per_s=tokens,
        left_s=(epochs - epoch) / epochs_per_s if epochs_per_s and not is_trained else None,
        train_loss=train,
        eval_loss=evals,
        samples=run_records.table(record.run_id, SAMPLES) if train or evals else (),
    )


def _rate(points: "Sequence[Point]") -> float | None:
    """The median increase a second between the last points: one pause among them does not count."""
    last = points[-RATE_POINTS:]
    pairs = [(one, other) for one, other in zip(last, last[1:], strict=False) if other.at_s > one.at_s]
    rates = [(other.value - one.value) / (other.at_s - one.at_s) for one, other in pairs]
    found = median(rates) if rates else 0.0
    return found if found > 0 else None
