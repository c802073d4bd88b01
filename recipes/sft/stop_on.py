"""Keeps that are tested at every evaluation of a training, so that it stops, and chooses weights, before one breaks.

What is measured stays in the run's folder, so that a resumed run has it. Held-out metrics are those of the validation
rows, which choose the checkpoint anyway; the test rows are not looked at.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from data.atomic_write import atomic_write
from data.errors import ConfigError, UserError
from evals import claims as evaluated
from evals import metrics
from evals.claims import Measured
from evals.claims_file import Claims, Line
from evals.generation import Decoding, score
from evals.paired import Difference, ratio
from evals.primary import of_answers
from evals.side_effects_by_step import ByStep, Checkpoint, spread_metric, write_picture
from evals.suites import table as suites
from evals.suites.language_model import LanguageModel
from evals.suites.suite import Suite
from recipes import claims
from recipes.sft.config import TuneConfig
from recipes.sft.data import has_style
from recipes.sft.types import Job
from registry.runs import Run
from train import distributed
from train.loop import Fitted

FILE, PICTURE = "by_step.json", "side_effects_by_step.png"
#: What ``stop_on`` takes for all keeps.
ALL = "keeps"


def keeps(config: TuneConfig, claimed: Claims) -> tuple[Line, ...]:
    """The keeps that ``stop_on`` names; none where it is empty.

    Raises:
        UserError: a name is not that of a metric with a keep, or there are several processes.
    """
    if not config.stop_on:
        return ()
    if distributed.world_size() > 1:
        raise UserError("stop_on evaluates suites in one process; start it without torchrun or accelerate launch")
    known = [line for line in claimed.lines if line.is_keep]
    names = list(dict.fromkeys(filter(None, map(str.strip, config.stop_on.split(",")))))
    having = list(dict.fromkeys(line.metric for line in known))
    wrong = [name for name in names if name not in having and name != ALL]
    if wrong or not (names and having):
        raise ConfigError(
            f"stop_on={config.stop_on}: there is no keep on {', '.join(wrong) or 'anything'}; there are keeps on "
            f"{', '.join(having) or 'nothing'}. claims=FILE adds others, suites=NAMES the suites that they need"
        )
    return tuple(line for line in known if ALL in names or line.metric in names)


class KeepTest:
    """Whether a checkpoint breaks none of ``job.stop_on``: ``train.loop`` calls it after every evaluation.

    Step 0 is the base, against which the others are compared in pairs, as at the end of the run. A keep is broken where
    its opposite is shown at the file's alpha, corrected for the number of keeps that are tested.
    """

    def __init__(self, job: Job, run: Run) -> None:
        self.job, self.run = job, run
        self.lines = Claims(job.stop_on, job.claims.alpha)
        self.base, self.checkpoints = _read(run.folder / FILE)

    def __call__(self, model: nn.Module, step: int) -> bool:
        """Measure ``model``, keep what was found, and log it as ``eval/METRIC``."""
        found = self._measure(model)
        if step == 0:
            self.base, self.checkpoints = found, {}
        else:
            self.checkpoints[step] = self._compare(step, found)
        _write(self.run.folder / FILE, self.base, self.checkpoints)
        self.run.log(step, {f"eval/{name}": _value(name, rows) for name, rows in found.items() if name != "loss"})
        return step == 0 or not self.checkpoints[step].broken

    def _measure(self, model: nn.Module) -> dict[str, np.ndarray]:
        """Statistics of rows or items of the metrics that are shown."""
        job = self.job
        scores = score(
            model,
            job.base.tokenizer,
            job.rows.validation,
            job.rows.train,
            Decoding(job.config.max_new_tokens),
            job.base.max_length,
            has_style(job.rows.test),
        )
        language_model = LanguageModel(model, job.base.tokenizer, Decoding(job.config.max_new_tokens))
        of_suites = suites.statistics(suites.evaluate(language_model, measured_suites(job.suites, job.stop_on)))
        found = {**scores.statistics, **of_suites}
        shown = {of_answers(job.primary), spread_metric(found), *(line.metric for line in job.stop_on)}
        return {name: rows for name, rows in found.items() if name in shown}

    def _compare(self, step: int, found: Mapping[str, np.ndarray]) -> Checkpoint:
        seed = self.job.config.seed
        measured = Measured(self.base, found, seed)
        results = evaluated.decide(self.lines, measured.estimate, measured.n)
        return Checkpoint(step, metrics.changes(self.base, found, seed), tuple(claims.broken(results)))


def _value(name: str, rows: np.ndarray) -> float:
    known = metrics.entry(name)
    return float((known.of_sums if known else ratio)(rows.sum(0)))


def measured_suites(chosen: Sequence[Suite[Any, Any]], lines: Sequence[Line]) -> list[Suite[Any, Any]]:
    """Those of the chosen suites that a keep is on, and ``spread``."""
    names = {"spread", *(line.metric.partition("/")[0] for line in lines if "/" in line.metric)}
    return [suite for suite in chosen if suite.name in names]


def load(job: Job, run: Run, fitted: Fitted) -> ByStep | None:
    """What was measured at every evaluation; None where ``stop_on`` is not given."""
    if not job.stop_on:
        return None
    base, checkpoints = _read(run.folder / FILE)
    evaluated_steps = {step for step, _ in fitted.progress.history}
    found = tuple(checkpoints[step] for step in sorted(evaluated_steps & checkpoints.keys()))
    spread, kept = spread_metric(base), frozenset(fitted.kept_steps)
    rows = f"{len(job.rows.validation)} validation rows"
    return ByStep(found, job.stop_on, of_answers(job.primary), spread, rows, fitted.restored_step, kept)


def record(found: ByStep | None, title: str, run: Run) -> None:
    """The picture with its figures, what became of the keeps as a tag, and the marked step as a metric and a tag."""
    if found is None:
        return
    picture = run.folder / PICTURE
    write_picture(found, f"{title}: side effects by step", picture)
    for path in (picture, picture.with_suffix(".csv"), picture.with_suffix(".txt")):
        run.file(path)
    run.tags({"stop_on": "; ".join(found.sentences)})
    if found.least_spread is not None:
        run.log(found.chosen, {"least_spread_step": found.least_spread})
        run.tags({"least_spread_checkpoint": f"checkpoints/step-{found.least_spread}"})


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[int, Checkpoint]]:
    """(the base's statistics, what was found by step), both empty where nothing was measured."""
    if not path.is_file():
        return {}, {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    checkpoints = [
        Checkpoint(each["step"], {k: Difference(**v) for k, v in each["changes"].items()}, tuple(each["broken"]))
        for each in kept["checkpoints"]
    ]
    return {k: np.array(v) for k, v in kept["base"].items()}, {each.step: each for each in checkpoints}


def _write(path: Path, base: Mapping[str, np.ndarray], checkpoints: Mapping[int, Checkpoint]) -> None:
    record = {"base": {k: v.tolist() for k, v in base.items()}, "checkpoints": [*map(asdict, checkpoints.values())]}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write_text(json.dumps(record), encoding="utf-8")
