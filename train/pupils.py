"""Whoever is taught noisy labels and asked afterwards, behind one shape: a language model here, TF-IDF, later an API.

The rest of the job (``train.noisy``) only knows this shape, so a provider is added by writing another ``Pupil``, which
``train.learners`` then makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from data.labelled import AnyRow
from registry.runs import Run
from train.classify import Prediction
from train.detection import Fit
from train.material import Material, Reading
from train.verdict import Verdict

LogProbs = Mapping[str, float]


@dataclass(frozen=True)
class Logged:
    """A model that was logged and proven by reloading it: where, and what its version's tags say beyond the job's."""

    uri: str
    tags: Mapping[str, object] = field(default_factory=dict)


class Pupil(Protocol):
    """One learner through the whole job, in this order: ``read``, ``start``, ``ask`` (the base), ``teach``, ``ask``.

    ``kind`` is the version's, ``base`` the name of what it was before, ``base_digest`` that of its weights or empty.
    ``step`` is that of the weights in force. ``points``: steps whose weights can be put in force with ``put``, the
    first of all being 0 where the untaught one can be asked too.
    """

    kind: str
    base: str
    base_digest: str
    step: int

    def reading(self) -> Reading:
        """How it reads rows."""
        ...

    def start(self, material: Material) -> list[str]:
        """Take the rows; returns lines that describe what is about to be taught."""
        ...

    def ask(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """Its answers to rows, as it is now: the base's before ``teach``."""
        ...

    def lean(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The label that it finds likelier on each row, with its probability, without letting it answer."""
        ...

    def choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """Log-probabilities of every choice of questions."""
        ...

    def teach(self, run: Run) -> str:
        """Train; returns a line about it."""
        ...

    def points(self) -> Sequence[int]:
        """Steps whose weights were kept, ascending."""
        ...

    def put(self, step: int) -> None:
        """Put the weights of one of these steps in force."""
        ...

    def fit(self, run: Run) -> Fit:
        """Trains another learner like this one on some of the rows: for folds and pruning."""
        ...

    def log(self, run: Run, verdict: Verdict) -> Logged:
        """Log the model, reload it, compare.

        Raises:
            UserError: the reloaded one is not the same; nothing may be registered then.
        """
        ...
