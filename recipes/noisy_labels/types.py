"""The values that the steps of the noisy-labels recipe pass to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from evals.claims import Result
from evals.claims_file import Claims
from evals.classification import ClassificationReport, Prediction
from evals.label_errors import Detection, Memorization, Pruning
from evals.multiple_choice import ChoiceReport
from evals.paired import Difference
from evals.significance import ClassifierComparison
from evals.verdict import Verdict
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData
from recipes.noisy_labels.preflight import Preflight


@dataclass(frozen=True)
class NoisyJob:
    """Settings, data and preflight report: what is fixed before training starts, ``claims`` too.

    ``primary``: the name of the metric by which champions are compared.
    """

    config: NoisyConfig
    data: NoisyData
    preflight: Preflight
    claims: Claims = Claims(())
    primary: str = "accuracy"


@dataclass(frozen=True)
class Evaluation:
    """One model on the test rows: ``report`` for texts, ``choices`` for questions; the other one is None.

    For questions ``predictions`` are 1 where MC1 is right and 0 where it is wrong. ``warnings`` are reasons to
    distrust the metrics. ``suites`` are the metrics of further suites, as ``NAME/METRIC``.
    """

    predictions: list[Prediction]
    report: ClassificationReport | None
    choices: ChoiceReport | None
    warnings: list[str]
    suites: Mapping[str, float] = field(default_factory=dict)

    def metrics(self) -> dict[str, float]:
        """All metrics that are defined, by name."""
        found = self.report or self.choices
        return {**(found.metrics() if found else {}), **self.suites}

    @property
    def statistics(self) -> dict[str, np.ndarray]:
        """Statistics of each test row by metric, see ``evals.metrics.statistics``."""
        found = self.report or self.choices
        return found.statistics() if found else {}

    @property
    def primary(self) -> tuple[str, float]:
        """Name and value of the metric that champions are compared by; 0 where it is undefined."""
        name = "accuracy" if self.report else "mc1"
        return name, self.metrics().get(name, 0.0)


#: A checkpoint that becomes a version, compared with the base.
EvaluatedCheckpoint = tuple[Evaluation, ClassifierComparison, Verdict]


@dataclass(frozen=True)
class CurvePoint:
    """How much of the training labels was memorised after ``step`` optimizer steps."""

    step: int
    memorization: Memorization


@dataclass(frozen=True)
class TrainingEvaluation:
    """The learner on its training rows.

    ``curve`` has a point per checkpoint, on a sample of the rows. ``memorization`` and ``in_sample`` describe the
    weights in force on ``n_scored`` rows: all of them where scoring is free. ``losses`` holds the loss of the given
    label in nats for every training row, out of fold if that was computed, else in sample; None where no probability
    is known. ``pruning`` leaves out as many rows as were flipped, which is known here and nowhere else,
    ``pruning_by_estimate`` the ``estimated_flips``.
    """

    curve: list[CurvePoint]
    memorization: Memorization
    in_sample: Detection
    losses: list[float | None]
    n_scored: int
    out_of_fold: Detection | None = None
    pruning: Pruning | None = None
    estimated_flips: int | None = None
    pruning_by_estimate: Pruning | None = None

    def metrics(self) -> dict[str, float]:
        """All metrics that are defined, by name."""
        found: dict[str, float | None] = {f"train/{key}": value for key, value in asdict(self.memorization).items()}
        for name, detection in (("in_sample", self.in_sample), ("out_of_fold", self.out_of_fold)):
            if detection:
                found |= {f"detection/{name}_auroc": detection.auroc, f"detection/{name}_auprc": detection.auprc}
        found["detection/flipped_share"] = self.in_sample.flipped_share
        found["detection/estimated_flips"] = self.estimated_flips
        for name, pruning in (("pruning", self.pruning), ("pruning_by_estimate", self.pruning_by_estimate)):
            if pruning:
                found |= {f"{name}/{key}": value for key, value in {**asdict(pruning), "gain": pruning.gain}.items()}
        return {key: float(value) for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class NoisyOutcome:
    """Base (``before``) and trained model (``after``) evaluated and compared.

    ``summary`` is one line about the training, ``seconds`` the time of each phase. ``checkpoints`` are evaluated like
    the final weights and registered as versions of their own, by step. ``claims``: what became of each claim.
    """

    summary: str
    before: Evaluation
    after: Evaluation
    comparison: ClassifierComparison
    training: TrainingEvaluation
    verdict: Verdict
    seconds: dict[str, float]
    checkpoints: dict[int, EvaluatedCheckpoint] = field(default_factory=dict)
    claims: Sequence[Result] = ()

    @property
    def changes(self) -> Mapping[str, Difference]:
        """By metric, how much ``after`` differs from ``before``, with intervals."""
        return self.comparison.changes
