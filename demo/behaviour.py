"""What a version was trained to do, as a property of single answers: from the metrics that its run has measured."""

from typing import TYPE_CHECKING

from data import pirate
from demo.lazy import import_lock
from demo.samples import Behaviour
from evals.metrics import METRICS
from registry.version_metrics import has_style

if TYPE_CHECKING:
    from registry.version_details import VersionDetails


def behaviour_of(details: "VersionDetails") -> Behaviour | None:
    """The pirate lexicon where a version was trained in that style, a valid label where it labels texts, else None."""
    measured = {score.name for score in details.scores if score.tuned is not None}
    if "lexicon_rate" in measured or has_style(details.version.tags):
        return Behaviour(METRICS["lexicon_rate"].shown_as, pirate.has_pirate_words)
    labels = _labels(details) if "invalid_rate" in measured else None
    return labels and _valid_label(labels)


def _labels(details: "VersionDetails") -> tuple[str, str] | None:
    """The names of both labels, from the names of the run's metrics; None where those do not hold them."""
    with import_lock:
        from registry.lineage import metric_names
    prefix = "test/recall_"
    found = sorted(
        name.removeprefix(prefix) for name in metric_names(details.version.run_id) if name.startswith(prefix)
    )
    labels = [name for name in found if name != "macro" and not name.startswith("label_")]
    return (labels[0], labels[1]) if len(labels) == 2 else None


def _valid_label(labels: tuple[str, str]) -> Behaviour:
    with import_lock:
        from evals.classification import parse_answer
    return Behaviour(f"valid label ({' or '.join(labels)})", lambda text: parse_answer(text, labels) in (0, 1))
