"""Those who compete in ``training_speed``, each in a process of its own that trains so many steps when told to.

``parley`` is ``train.loop.fit`` as users run it, evaluations and resume points included, on a base that is held as
``load=auto`` says; ``parley_fp32`` the same with ``load=fp32``; ``bare`` a plain PyTorch loop
over the same packed batches with the same optimizer; ``bare_fast`` the same inside ``train.cpu_kernels.accelerated``;
``trl`` TRL's ``SFTTrainer`` with its defaults, in fp32; ``trl_direct`` the same without gradient checkpointing, which
is on by default there; ``original`` the experiment that Parley grew from: transformers' ``Trainer``, two rows a step,
each padded to 64 tokens.

All but ``original`` see the same rows in the same order with the same initial weights, AdamW, learning rate (constant),
clipping and no dropout, so their losses can be compared step by step.
"""

import os
import resource
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.race import BATCH, Bench, Gate, Stop, Task, eval_loss, load

ORIGINAL_BATCH = 2
ORIGINAL_LENGTH = 64


def parley(bench: Bench, gate: Gate) -> None:
    """Parley's own loop, with its evaluations and resume points; it is held and timed where it logs a step."""

    class Tracker:
        def log(self, step: int, metrics: dict[str, float]) -> None:
            if "train/loss" in metrics:
                gate.step(metrics["train/loss"])

        def flush(self) -> None: ...

    _fit(bench, Tracker())


def _fit(bench: Bench, tracker: Any) -> Any:
    from train.config import FitConfig
    from train.loop import fit
    from train.resume import StateFolder

    task = bench.task
    config = FitConfig(
        epochs=len(bench.order) // len(bench.train),
        batch_size=BATCH,
        lr=task.lr,
        schedule="constant",
        warmup=0.0,
        precision="auto" if task.contender == "parley" else "fp32",
        seed=task.seed,
    )
    return fit(bench.model, bench.train, bench.held_out, config, StateFolder(Path(task.scratch)), tracker)


def bare(bench: Bench, gate: Gate) -> None:
    """The same arithmetic with nothing around it."""
    import torch
    from torch.nn import functional as F
    from torch.nn.utils import clip_grad_norm_

    from train.config import FitConfig
    from train.losses import trained_logits
    from train.optimizer import make_optimizer
    from train.packing import pack

    parameters = [p for p in bench.model.parameters() if p.requires_grad]
    optimizer = make_optimizer(parameters, bench.task.lr, FitConfig())
    for start in range(0, len(bench.order), BATCH):
        batch = pack([bench.train[i] for i in bench.order[start : start + BATCH]], FitConfig.row_tokens)
        logits = trained_logits(bench.model, batch, torch.device("cpu"))
        loss = F.cross_entropy(logits, torch.from_numpy(batch.targets))
        loss.backward()
        clip_grad_norm_(parameters, FitConfig.clip)
        optimizer.step()
        optimizer.zero_grad()
        gate.step(loss.item())


def bare_fast(bench: Bench, gate: Gate) -> None:
    """``bare`` with Parley's faster arithmetic: what is left between it and ``parley`` is the loop's own cost."""
    from train.cpu_kernels import accelerated

    with accelerated(bench.model):
        bare(bench, gate)


def trl(bench: Bench, gate: Gate, **settings: Any) -> None:
    """TRL's trainer on prompt/completion pairs with its defaults; only bf16, very slow on most CPUs, is turned off."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    rows = [{"prompt": bench.texts[i][0], "completion": bench.texts[i][1]} for i in bench.order]
    arguments = SFTConfig(per_device_train_batch_size=BATCH, bf16=False, **_trainer_settings(bench), **settings)
    trainer = SFTTrainer(
        model=bench.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=bench.tokenizer,
        callbacks=[_gate_callback(gate)],
    )
    for made, i in zip(trainer.train_dataset, bench.order, strict=True):
        if made["input_ids"] != bench.train[i].input_ids.tolist():
            raise AssertionError(f"TRL's tokens of {bench.texts[i]} are not Parley's: {made}")
    trainer.train()


def trl_direct(bench: Bench, gate: Gate) -> None:
    """TRL's trainer without gradient checkpointing."""
    trl(bench, gate, gradient_checkpointing=False)


def original(bench: Bench, gate: Gate) -> None:
    """Every row padded to 64 tokens, two rows a step, logits of every position."""
    from transformers import Trainer, TrainingArguments

    settings = {**_trainer_settings(bench), "max_steps": len(bench.order) // ORIGINAL_BATCH}
    arguments = TrainingArguments(per_device_train_batch_size=ORIGINAL_BATCH, **settings)
    rows = [_padded(bench.train[i], bench.tokenizer.eos_token_id) for i in bench.order]
    Trainer(bench.model, arguments, train_dataset=rows, callbacks=[_gate_callback(gate)]).train()


def _padded(example: Any, pad_id: int) -> dict[str, list[int]]:
    ids, labels = example.input_ids.tolist()[:ORIGINAL_LENGTH], example.labels.tolist()[:ORIGINAL_LENGTH]
    empty = ORIGINAL_LENGTH - len(ids)
    return {
        "input_ids": ids + [pad_id] * empty,
        "attention_mask": [1] * len(ids) + [0] * empty,
        "labels": labels + [-100] * empty,
    }


def _trainer_settings(bench: Bench) -> dict[str, Any]:
    """What makes transformers' and TRL's trainers do Parley's arithmetic, and write nothing."""
    return {
        "output_dir": bench.task.scratch,
        "max_steps": len(bench.order) // BATCH,
        "learning_rate": bench.task.lr,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "report_to": [],
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": bench.task.seed,
    }


def _gate_callback(gate: Gate) -> Any:
    from transformers import TrainerCallback

    class AtGate(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if "loss" in logs:
                gate.step(float(logs["loss"]))

    return AtGate()


CONTENDERS: dict[str, Callable[[Bench, Gate], None]] = {
    "parley": parley,
    "parley_fp32": parley,
    "bare": bare,
    "bare_fast": bare_fast,
    "trl": trl,
    "trl_direct": trl_direct,
    "original": original,
}


def compete(task: Task, connection: Connection) -> None:
    """The life of a process: load, report the initial eval loss, train in rounds until told to stop."""
    try:
        _silence()
        bench = load(task)
        size = ORIGINAL_BATCH if task.contender == "original" else BATCH
        trained = [bench.train[i].trained for i in bench.order]
        tokens = [sum(trained[start : start + size]) for start in range(0, len(trained), size)]
        gate = Gate(connection, tokens, lambda: eval_loss(bench))
        connection.send(gate.evaluate())
        gate.wait()
        CONTENDERS[task.contender](bench, gate)
        connection.send("it ran out of rows: more steps were asked for than it was made for")
    except Stop:
        connection.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    except BaseException:
        connection.send(traceback.format_exc())


def track(task: Task, connection: Connection) -> None:
    """Train whole epochs with Parley, logging into a real sqlite store; send what that cost."""
    try:
        _silence()
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{task.scratch}/mlflow.db"
        from registry import runs

        run = TimedTracker(runs.start("benchmark", Path(task.scratch)))
        fitted = _fit(load(task), run)
        run.inner.finish()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rate = fitted.trained_tokens / fitted.seconds
        connection.send({"seconds": fitted.seconds, "tracking_seconds": run.seconds, "rate": rate, "peak_mb": peak})
    except BaseException:
        connection.send(traceback.format_exc())


def _silence() -> None:
    """No progress bars among the results: what goes wrong comes back through the connection."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(nowhere, stream.fileno())


@dataclass
class TimedTracker:
    """A tracker that adds up the seconds spent in it."""

    inner: Any
    seconds: float = 0.0

    def log(self, step: int, metrics: dict[str, float]) -> None:
        start = perf_counter()
        self.inner.log(step, metrics)
        self.seconds += perf_counter() - start

    def flush(self) -> None:
        start = perf_counter()
        self.inner.flush()
        self.seconds += perf_counter() - start
