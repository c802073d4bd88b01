"""What a contender of ``training_speed`` is given: a task, the model and rows that it means, and a gate to stop at."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

BATCH = 8


@dataclass(frozen=True)
class Task:
    """What is trained: ``model`` is ``distilgpt2`` (that shape, random weights) or a folder with a model."""

    contender: str
    model: str
    tokenizer: str
    pairs: str
    method: str
    lr: float
    steps: int
    threads: int
    seed: int
    scratch: str


@dataclass(frozen=True)
class Round:
    """What one contender did in a round: seconds for ``losses``' steps on ``tokens`` trained tokens, and then."""

    seconds: float
    tokens: int
    losses: list[float]
    eval_loss: float


class Stop(BaseException):
    """The race is over; not an Exception, so that no trainer takes it for a failure of its own."""


@dataclass
class Gate:
    """Lets a contender through so many steps at a time, and times them; evaluating at a round's end is not timed."""

    connection: Connection
    tokens: list[int]
    evaluate: Callable[[], float]
    done: int = 0
    left: int = 0
    since: float = 0.0
    losses: list[float] = field(default_factory=list)

    def wait(self) -> None:
        """Go on when told how many steps to do next.

        Raises:
            Stop: no more.
        """
        self.left = self.connection.recv()
        if not self.left:
            raise Stop
        self.since = perf_counter()

    def step(self, loss: float) -> None:
        """One optimizer step is done, its mean loss per trained token was ``loss``."""
        self.losses.append(loss)
        self.left -= 1
        if self.left == 0:
            seconds = perf_counter() - self.since
            stop = self.done + len(self.losses)
            self.connection.send(Round(seconds, sum(self.tokens[self.done : stop]), self.losses, self.evaluate()))
            self.done, self.losses = stop, []
            self.wait()


@dataclass(frozen=True)
class Bench:
    """A model to train, its tokenizer, texts as (prompt, answer) and as tokens, and the rows of every step."""

    task: Task
    model: Any
    tokenizer: Any
    texts: list[tuple[str, str]]
    train: list[Any]
    held_out: list[Any]
    order: list[int]


def load(task: Task) -> Bench:
    """Read rows, make model and tokenizer; a tenth of the rows is held out, the rest fills whole steps."""
    import numpy as np
    import torch

    from data.chat_template import segments
    from data.conversation import Row
    from recipes.sft.config import TuneConfig
    from train.encoding import encode
    from train.packing import step_rows
    from train.trainable import make_trainable

    torch.set_num_threads(task.threads)
    model, tokenizer = _model(task)
    pairs = json.loads(Path(task.pairs).read_text())
    rows = [Row(((p["prompt"], p["response"]),), where=f"pair {i + 1}") for i, p in enumerate(pairs)]
    held_out, kept = rows[::10], [row for i, row in enumerate(rows) if i % 10]
    kept = kept[: len(kept) // BATCH * BATCH]
    epochs = -(-task.steps * BATCH // len(kept))
    orders = [o for epoch in range(epochs) for o in step_rows(len(kept), BATCH, task.seed, epoch)]
    model = make_trainable(model, TuneConfig(method=task.method, seed=task.seed)).train()
    texts = [tuple(s.text for s in segments(tokenizer, row.turns)) for row in kept]
    order = np.concatenate(orders).tolist()
    return Bench(task, model, tokenizer, texts, encode(kept, tokenizer), encode(held_out, tokenizer), order)


def _model(task: Task) -> tuple[Any, Any]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    from inference import precision
    from train import base_model

    if task.model != "distilgpt2":
        base = base_model.resolve(task.model)
        held = precision.choose("auto", base.folder, "cpu", task.method == "lora")
        model, tokenizer = base_model.load(base, "cpu", held if task.contender == "parley" else "fp32")
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        return model, tokenizer
    torch.manual_seed(task.seed)
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    folder = Path(task.tokenizer)
    return model, GPT2Tokenizer(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))


def eval_loss(bench: Bench) -> float:
    """Mean loss per trained token of the held-out rows, the same way for every contender."""
    from train.losses import mean_loss

    training = bench.model.training
    loss = mean_loss(bench.model, bench.held_out)
    bench.model.train(training)
    return loss
