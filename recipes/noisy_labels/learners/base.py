"""Whoever is taught noisy labels and asked afterwards, behind one shape: a language model here, TF-IDF, or an API.

The rest of the job (``recipes.noisy_labels.run``) only knows this shape, so a provider is added by writing another
``Learner``, which ``recipes.noisy_labels.learners.factory`` then makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data.labelled import AnyRow
from evals.classification import Prediction
from evals.label_errors import Fit
from evals.verdict import Verdict
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.preflight import Preflight
from registry.runs import Run

LogProbs = Mapping[str, float]


@dataclass(frozen=True)
class LoggedModel:
    """A model that was logged and proven by reloading it: where, and what its version's tags say beyond the job's."""

    uri: str
    tags: Mapping[str, object] = field(default_factory=dict)


class Learner(Protocol):
    """What is trained and evaluated, called in this order: reading, estimate_cost, start, submit, predict, train, ...

    ``kind`` is the version's, ``base`` the name of what it was before, ``base_digest`` that of its weights or empty.
    ``step`` is that of the weights in force. ``points``: steps whose weights ``load_checkpoint`` can
    load, the first being 0 where the untrained model can be evaluated too. ``most_training_rows``: on how many of its
    training rows it may be evaluated, None for all. ``registers_points``: the weights of points are versions of their
    own, because no run keeps them.
    """

    kind: str
    base: str
    base_digest: str
    step: int
    most_training_rows: int | None
    registers_points: bool

    def reading(self) -> TokenLimits:
        """How it reads rows."""
        ...

    def estimate_cost(self, material: NoisyData, flight: Preflight) -> Preflight:
        """The preflight with what it costs to teach it."""
        ...

    def start(self, material: NoisyData, run: Run) -> list[str]:
        """Take the rows; returns lines that describe what is about to be taught. Nothing is spent yet."""
        ...

    def submit(self, run: Run) -> None:
        """Begin what others carry out meanwhile; the run has its params, tags and data by now.

        Raises:
            UserError: it can't be done; nothing was spent then.
        """
        ...

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """Its answers to rows, as it is now: the base's before ``train``."""
        ...

    def score_labels(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The label that it finds likelier on each row, with its probability, without letting it answer."""
        ...

    def choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """Log-probabilities of every choice of questions."""
        ...

    def train(self, run: Run) -> str:
        """Train; returns a line about it."""
        ...

    def points(self) -> Sequence[int]:
        """Steps whose weights were kept, ascending."""
        ...

    def load_checkpoint(self, step: int) -> None:
        """Put the weights of one of these steps in force."""
        ...

    def fit(self, run: Run) -> Fit:
        """Trains another learner like this one on some of the rows: for folds and pruning."""
        ...

    def log(self, run: Run, verdict: Verdict) -> LoggedModel:
        """Log the model, reload it, compare.

        Raises:
            UserError: the reloaded one is not the same; nothing may be registered then.
        """
        ...

    def close(self) -> None:
        """Give back what it holds beside memory."""
        ...


class LocalLearner:
    """A learner whose weights are on this machine: predicting costs nothing, and its run keeps its checkpoints."""

    most_training_rows: int | None = None
    registers_points = False

    def estimate_cost(self, material: NoisyData, flight: Preflight) -> Preflight:
        """It costs nothing."""
        return flight

    def submit(self, run: Run) -> None:
        """Nobody else is needed."""

    def close(self) -> None:
        """It holds nothing."""
