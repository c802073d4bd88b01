"""The interface of learners: a language model, TF-IDF with logistic regression, or a model behind an API.

The recipe (``recipes.noisy_labels.run``) uses this interface only. To add a learner, implement ``Learner`` and create
it in ``recipes.noisy_labels.learners.factory``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data.labelled import AnyRow
from evals.classification import Prediction
from evals.label_errors import Fit
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.preflight import Preflight
from registry.registration import Loggable
from registry.runs import Run

#: Log-probability of each choice of a question.
LogProbs = Mapping[str, float]


@dataclass(frozen=True)
class Registrable:
    """A model that can be logged and verified, and version tags beyond those of the job."""

    model: Loggable
    tags: Mapping[str, object] = field(default_factory=dict)


class Learner(Protocol):
    """What is trained and evaluated. Calls come in the order of the methods below.

    ``kind`` is the version's tag, ``base`` the name of the model before training, ``base_digest`` the digest of its
    weights or empty, ``base_source`` where its files came from or empty. ``step`` is the step of the weights in force,
    0 before training. ``max_scored_rows`` is how many training rows may be scored, None for all.
    ``registers_checkpoints``: every kept step becomes a version of its own, because the run keeps no checkpoints.
    ``holds_base``: after training it still holds its base, and has the methods ``predict_both`` and
    ``score_choices_both``, which return (the base's outputs, its own).
    """

    kind: str
    base: str
    base_digest: str
    base_source: str
    step: int
    max_scored_rows: int | None
    holds_base: bool
    registers_checkpoints: bool

    def token_limits(self) -> TokenLimits:
        """How it counts tokens and how many it accepts."""
        ...

    def estimate_cost(self, data: NoisyData, preflight: Preflight) -> Preflight:
        """The preflight report with the cost of training and evaluation added."""
        ...

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Take the data; returns lines that describe the training to come. Nothing is trained or paid for yet."""
        ...

    def submit(self, run: Run) -> None:
        """Submit the work that others do meanwhile; the run has its params, tags and data by now.

        Raises:
            UserError: it was refused; nothing was paid for then.
        """
        ...

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """Its generated answers to rows, with the weights in force: the base's before ``train``."""
        ...

    def score_labels(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The likelier label of each row and its probability, without generating an answer where that is possible."""
        ...

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """Log-probabilities of all choices of each question; None where they could not be had."""
        ...

    def train(self, run: Run) -> str:
        """Train; returns one line about it."""
        ...

    def kept_steps(self) -> Sequence[int]:
        """Steps whose weights ``load_checkpoint`` can load, ascending; empty before ``train``."""
        ...

    def load_checkpoint(self, step: int) -> None:
        """Use the weights of one of these steps from now on."""
        ...

    def fit(self, run: Run) -> Fit:
        """A function that trains another learner with these settings on other rows: for folds and pruning."""
        ...

    def save(self, run: Run) -> Registrable:
        """Keep the weights in force with the run, ready to be logged, verified and registered.

        Raises:
            UserError: they can't be had.
        """
        ...

    def close(self) -> None:
        """Release files and processes."""
        ...


class LocalLearner:
    """A learner with its weights on this machine: predicting is free, and its run keeps its checkpoints."""

    max_scored_rows: int | None = None
    holds_base = False
    registers_checkpoints = False

    def estimate_cost(self, data: NoisyData, preflight: Preflight) -> Preflight:
        """Unchanged: training here is free."""
        return preflight

    def submit(self, run: Run) -> None:
        """Nothing to submit."""

    def close(self) -> None:
        """Nothing to release."""
