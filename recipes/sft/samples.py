"""Answers to a few fixed prompts at every evaluation of a training: what the curve means in words.

The prompts are the first of the validation rows, which choose the checkpoint; test rows are not looked at. Answers are
greedy and short. They stay in the run's folder, so that a resumed run has them, and in its table ``samples.json``.
"""

import json
from typing import Any

from torch import nn

from data.atomic_write import atomic_write
from data.errors import ConfigError
from evals.generation import Decoding, answer
from recipes.sft.stop_on import KeepTest
from recipes.sft.types import Job
from registry.runs import Run
from train import distributed
from train.loop import Accept

FILE = "samples.json"
MOST_TOKENS = 32


class SampleAnswers:
    """Answers the first ``job.config.sample_prompts`` validation prompts: ``train.loop`` calls it at evaluations."""

    def __init__(self, job: Job, run: Run) -> None:
        self.job, self.run = job, run
        self.rows = job.rows.validation[: job.config.sample_prompts]

    def __call__(self, model: nn.Module, step: int) -> bool:
        """Answer, and keep the answers; the checkpoint may be chosen whatever they are."""
        tokenizer: Any = self.job.base.tokenizer
        decoding = Decoding(min(MOST_TOKENS, self.job.config.max_new_tokens))
        answers = answer(model, tokenizer, self.rows, decoding)
        known = [each for each in load(self.run) if int(each["step"]) < step]
        pairs = zip(self.rows, answers, strict=True)
        known += [{"step": str(step), "prompt": row.prompt, "answer": found.text} for row, found in pairs]
        self.run.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.run.folder / FILE) as file:
            file.write_text(json.dumps(known, indent=1), encoding="utf-8")
        self.run.live_table(known, FILE)
        return True


def load(run: Run) -> list[dict[str, str]]:
    """The answers so far, one record a prompt and step."""
    path = run.folder / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def record(run: Run) -> None:
    """Log the whole table: a server that was away during training does not have it."""
    found = load(run)
    if found:
        run.table(found, FILE)


def at_evaluations(job: Job, run: Run) -> Accept | None:
    """What is done at every evaluation: tests of keeps and answers to sample prompts; None where neither is wanted.

    Raises:
        ConfigError: there are several processes.
    """
    if job.config.sample_prompts and distributed.world_size() > 1:
        raise ConfigError("sample_prompts answers in one process; start it without torchrun or accelerate launch")
    tasks: list[Accept] = [KeepTest(job, run)] if job.stop_on else []
    tasks += [SampleAnswers(job, run)] if job.config.sample_prompts and job.rows.validation else []
    return (lambda model, step: all([task(model, step) for task in tasks])) if tasks else None
