"""What a training would do: its rows checked, the trained tokens shown, time and memory estimated.

The rows are read and encoded by the recipe's own functions, so that whatever would end the run shows here. Time and
memory are measured on a few optimizer steps with the run's own model, rows and settings; nothing is kept.
"""

import math
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from data.errors import DataError, UserError, grouped
from inference.threads import set_threads
from recipes.dpo.config import DpoConfig
from recipes.noisy_labels.config import NoisyConfig
from recipes.sft.config import TuneConfig
from train.config import FinetuneConfig

SHOWN_ROWS = 5
#: Optimizer steps that are timed; the first also allocates memory, so it is left out where there are others.
STEPS = 4
MOST_CHECKS = 32
Event = dict[str, Any]


@dataclass(frozen=True)
class Estimate:
    """What a training would take, from ``measured`` steps.

    ``train_s`` is ``steps`` steps, the evaluations of the validation loss among them, and their resume points.
    Answers to sample prompts, evaluation before and after training, and registering come on top. ``memory_bytes``: the
    most that the process has used, or on a GPU what was allocated there.
    """

    steps: int
    measured: int
    step_s: float
    train_s: float
    memory_bytes: int
    parameters: int


def preview(config: TuneConfig | NoisyConfig) -> Iterator[Event]:
    """Events of the kinds ``rows`` (lines), ``mask`` (rows of (text, is trained)), ``estimate``, or ``problems``.

    ``problems`` is the last where there is one: the run would end with these lines.
    """
    try:
        yield from _noisy(config) if isinstance(config, NoisyConfig) else _tune(config)
    except DataError as error:
        yield {"kind": "problems", "lines": grouped(error.problems), "count": len(error.problems)}
    except UserError as error:
        yield {"kind": "problems", "lines": str(error).splitlines(), "count": 1}


def _tune(config: TuneConfig) -> Iterator[Event]:
    _check_rows(config)
    set_threads(config.threads)
    from recipes.dpo import run as dpo
    from recipes.sft import run as sft

    plain: Any = replace(config, suites="none")
    job: Any = (dpo if isinstance(config, DpoConfig) else sft).prepare(plain)
    yield {"kind": "rows", "lines": sft.describe(job).splitlines()}
    yield _mask(job.examples, job.base.tokenizer)
    found = measure(job.trained_rows, job.validation_rows, job.base, job.config, job.loss)
    yield {"kind": "estimate", **asdict(found)}


def _check_rows(config: TuneConfig) -> None:
    """Read the rows before the base is loaded, which takes longer than finding a fault in them."""
    from recipes.dpo import data as dpo
    from recipes.sft import data as sft

    dpo.load(config) if isinstance(config, DpoConfig) else sft.load(config)


def _noisy(config: NoisyConfig) -> Iterator[Event]:
    from recipes.noisy_labels.data import prepare, read, run_preflight
    from recipes.noisy_labels.learners.factory import make
    from registry.null_run import NullRun

    if config.is_remote:
        raise UserError("provider=openai and parley are started in a terminal: they may cost money")
    dataset = read(config)
    set_threads(config.threads)
    with closing(make(config)) as learner:
        limits = learner.token_limits()
        data = prepare(config, dataset, limits)
        found = run_preflight(data, config, limits)
        found.require()
        lines = [*found.lines(), *learner.start(data, NullRun("", Path(tempfile.gettempdir())))]
        yield {"kind": "rows", "lines": lines}
        known: Any = learner
        if config.learner == "tfidf":
            return
        yield _mask(known.examples, known.tokenizer)
        yield {"kind": "estimate", **asdict(measure(known.examples, known.checks, known.loaded, known.tuning))}


def _mask(examples: Sequence[Any], tokenizer: Any) -> Event:
    from recipes.sft.report import shown_tokens

    rows = [shown_tokens(example, tokenizer) for example in examples[:SHOWN_ROWS]]
    return {"kind": "mask", "rows": rows, "total": len(examples)}


class _Clock:
    """A tracker that keeps when steps and evaluations ended, in seconds."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.evaluations: list[float] = []

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Keep the time of a step's or an evaluation's end."""
        if "train/loss" in metrics:
            self.steps.append(perf_counter())
        if "eval/loss" in metrics:
            self.evaluations.append(perf_counter())

    def flush(self) -> None:
        """Nothing is buffered."""


def measure(
    rows: Sequence[Any], checks: Sequence[Any], base: Any, config: FinetuneConfig, loss: Any = None
) -> Estimate:
    """Train a few steps on rows from all over the data, and scale the times to the whole training.

    ``base``'s model is changed. ``config`` has no defaults left to fill in.

    Raises:
        UserError: these settings can't be trained; a training that diverges at once is one.
    """
    from train.finetune import finetune
    from train.losses import DEFAULT_LOSS
    from train.resume import StateFolder

    size = config.batch_size * config.accumulation
    chosen = _spread(rows, size * STEPS)
    few = _spread(checks, MOST_CHECKS)
    clock, parameters = _Clock(), base.parameters
    short = replace(config, epochs=1, evals_per_epoch=1, patience=0, resume="")
    with tempfile.TemporaryDirectory() as folder:
        finetune(chosen, few, base, short, clock, StateFolder(Path(folder)), loss or DEFAULT_LOSS)
        keep_s = perf_counter() - clock.evaluations[-1]  # of a resume point
    took = [after - before for before, after in zip([clock.evaluations[0], *clock.steps], clock.steps, strict=False)]
    step_s = median(took[1:] or took)
    check_s = (clock.evaluations[-1] - clock.steps[-1]) / len(few)
    steps = math.ceil(len(rows) / size) * config.epochs
    evaluations = config.epochs * config.evals_per_epoch + 1
    references = len(rows) + len(checks) if getattr(loss, "needs_reference", False) else 0
    seconds = steps * step_s + (evaluations * len(checks) + references) * check_s + evaluations * keep_s
    return Estimate(steps, len(took), step_s, seconds, _memory_bytes(), parameters)


def _spread(rows: Sequence[Any], most: int) -> list[Any]:
    """At most so many of ``rows``, from all over them."""
    count = min(most, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def _memory_bytes() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
