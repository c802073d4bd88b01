"""What the parts of a noisy-labels job hand to each other."""

from dataclasses import asdict, dataclass, field

from evals.classification import Prediction, Report
from evals.label_errors import Detection, Memorization, Pruning
from evals.multiple_choice import ChoiceReport
from evals.significance import Comparison
from evals.verdict import Verdict
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData
from recipes.noisy_labels.preflight import Preflight


@dataclass(frozen=True)
class NoisyJob:
    """Everything decided before anything is spent."""

    config: NoisyConfig
    material: NoisyData
    preflight: Preflight


@dataclass(frozen=True)
class Evaluation:
    """One model on the test rows: ``report`` for texts, ``choices`` for questions; the other one is None.

    For questions ``predictions`` say whether MC1 was hit (1) or not (0). ``alarms`` say why not to believe the figures.
    """

    predictions: list[Prediction]
    report: Report | None
    choices: ChoiceReport | None
    alarms: list[str]

    def metrics(self) -> dict[str, float]:
        """Everything that is defined, by the names that metrics have."""
        if self.report:
            return self.report.metrics()
        if self.choices is None:
            return {}
        low, high = self.choices.mc1_interval or (None, None)
        found = {"n": self.choices.n, "mc1": self.choices.mc1, "mc2": self.choices.mc2}
        found |= {"mc1_low": low, "mc1_high": high}
        return {key: float(value) for key, value in found.items() if value is not None}

    @property
    def primary(self) -> tuple[str, float]:
        """Name and value of the metric that champions are compared by; 0 where it is undefined."""
        name = "accuracy" if self.report else "mc1"
        return name, self.metrics().get(name, 0.0)


@dataclass(frozen=True)
class CurvePoint:
    """What was memorised after ``step`` optimizer steps."""

    step: int
    memory: Memorization


@dataclass(frozen=True)
class OnTraining:
    """The learner on the rows it was taught.

    ``curve`` is over the checkpoints, on a sample of the rows; ``memory`` and ``in_sample`` are of the weights in
    force, on ``asked`` rows: all of them where asking costs nothing. ``losses`` are those of the given labels, one a
    training row, out of fold where that was done, else in sample; None of a row whose probability is not known.
    """

    curve: list[CurvePoint]
    memory: Memorization
    in_sample: Detection
    losses: list[float | None]
    asked: int
    out_of_fold: Detection | None = None
    pruning: Pruning | None = None

    def metrics(self) -> dict[str, float]:
        """What is defined, by the names that metrics have."""
        found: dict[str, float | None] = {f"train/{key}": value for key, value in asdict(self.memory).items()}
        for name, seen in (("in_sample", self.in_sample), ("out_of_fold", self.out_of_fold)):
            if seen:
                found |= {f"detection/{name}_auroc": seen.auroc, f"detection/{name}_auprc": seen.auprc}
        found["detection/flipped_share"] = self.in_sample.flipped_share
        if self.pruning:
            pruning = {**asdict(self.pruning), "gain": self.pruning.gain}
            found |= {f"pruning/{key}": value for key, value in pruning.items()}
        return {key: float(value) for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class NoisyOutcome:
    """A taught learner, judged. ``taught`` is a line about the training, ``seconds`` where the time went.

    ``points``: checkpoints that become versions of their own, by step, judged like the taught one.
    """

    taught: str
    before: Evaluation
    after: Evaluation
    compared: Comparison
    on_training: OnTraining
    verdict: Verdict
    seconds: dict[str, float]
    points: dict[int, tuple[Evaluation, Verdict]] = field(default_factory=dict)
