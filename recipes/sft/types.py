"""What the steps of a fine-tuning experiment pass to each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from evals.claims import Result
from evals.claims_file import Claims, Line
from evals.generation import Scores
from evals.paired import Difference
from evals.side_effects import SideEffects
from evals.side_effects_by_step import ByStep
from evals.suites.suite import Suite
from evals.verdict import Verdict
from recipes.sft.config import TuneConfig
from recipes.sft.data import Rows, style_tag
from train.encoding import Example, TrainingRow
from train.finetune import Finetuned, LoadedBase
from train.losses import DEFAULT_LOSS, Loss


@dataclass(frozen=True)
class Job:
    """What is decided before training starts. ``examples``: the training rows, tokenised; ``checks``: validation.
    ``loss``: what is minimised, with its settings.

    ``primary``: the name of the primary metric. ``metrics``: those that are kept and shown, None: all. ``suites``:
    those that both models are evaluated on beside the test rows. ``date``: the date in every prompt, where the chat
    template holds one; else empty. ``claims``: what is claimed of the outcome. ``stop_on``: keeps that are tested at
    every evaluation. ``kind``: the tag of its versions; empty takes the method. ``start``: the version that training
    started from, empty where that is the base.
    """

    entry: ClassVar[str] = "pirate"
    """The entry point that starts such a run."""
    loss_unit: ClassVar[str] = "nats per trained token"
    """What the loss is measured in."""

    config: TuneConfig
    rows: Rows
    base: LoadedBase
    examples: list[Example]
    checks: list[Example]
    primary: str = "chrf"
    metrics: frozenset[str] | None = None
    suites: Sequence[Suite[Any, Any]] = ()
    date: str = ""
    claims: Claims = Claims(())
    stop_on: tuple[Line, ...] = ()
    kind: str = ""
    start: str = ""
    loss: Loss = DEFAULT_LOSS

    @property
    def trained_rows(self) -> Sequence[TrainingRow]:
        """What ``loss`` is minimised on."""
        return self.examples

    @property
    def validation_rows(self) -> Sequence[TrainingRow]:
        """What ``loss`` chooses the checkpoint on."""
        return self.checks

    @property
    def is_split(self) -> bool:
        """Whether the chat template made several examples of a training row."""
        return len(self.examples) > len(self.rows.train)

    @property
    def sides(self) -> tuple[str, str]:
        """What the model before training and the trained one are called in reports."""
        return "start" if self.start else "base", "tuned"

    def digests(self) -> dict[str, str]:
        """The digests of rows, base and claims, by tag: what a resumed run must have unchanged."""
        return {**self.rows.digests(), "base_digest": self.base.source.digest, "claims_digest": self.claims.digest}

    @property
    def lineage_tags(self) -> dict[str, str]:
        """Kind, where it started, and the style that its rows are written in, as tags of run and version."""
        start = {"start": self.start} if self.start else {}
        return {"kind": self.kind or self.config.method, **start, **style_tag(self.rows.test)}


@dataclass(frozen=True)
class Outcome:
    """A fine-tuned model, and its base's (``before``) and its own (``after``) scores on the same test rows.

    ``changes``: by metric, how much the two differ, with intervals. ``claims``: what became of each claim.
    ``side_effects``: which of the changes are side effects. ``by_step``: what ``stop_on`` measured at each checkpoint.
    ``sides``: what the two are called, see ``Job.sides``. ``evaluate_s``: seconds that evaluating both took.
    """

    tuned: Finetuned
    before: Scores
    after: Scores
    verdict: Verdict
    changes: Mapping[str, Difference]
    claims: Sequence[Result] = field(default_factory=tuple)
    side_effects: SideEffects = SideEffects()
    by_step: ByStep | None = None
    sides: tuple[str, str] = ("base", "tuned")
    evaluate_s: float = 0.0
