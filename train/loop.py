"""The training loop: optimizer steps over packed rows, with evaluations, resume points and exact repetition."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from data.errors import UserError
from data.progress import progress_bar
from inference.bf16_linear import holds_bf16
from train import distributed
from train.config import FitConfig
from train.cpu_kernels import accelerated
from train.encoding import TrainingRow
from train.losses import DEFAULT_LOSS, Loss, measure_all
from train.optimizer import load_optimizer, make_optimizer, optimizer_tensors
from train.packing import PASS_TOKENS, Batch, pack, pack_parts, step_rows
from train.resume import Progress, SavedState, StateFolder
from train.schedule import dropout_seed, eval_schedule, lr_factor
from train.trainable import trained_weights

#: Training metrics are logged at no more steps than this; longer runs log means over several steps.
MOST_POINTS = 500
#: Whether the weights that a model has after so many steps may be chosen as the best; where not, training ends.
Accept = Callable[[nn.Module, int], bool]


class Tracker(Protocol):
    """Takes the metrics of a training; ``registry.runs.Run`` is one, ``NullTracker`` keeps none."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Log ``metrics`` at ``step``; they may be buffered."""

    def flush(self) -> None:
        """Write out what is buffered."""


class NullTracker:
    """A tracker that keeps nothing, for models beside the run's own, such as those of cross-validation folds."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Ignore ``metrics``."""

    def flush(self) -> None:
        """Nothing is buffered."""


class Diverged(UserError):
    """The loss or the gradient stopped being a number."""

    tags: ClassVar = {"verdict": "diverged"}


@dataclass(frozen=True)
class Fitted:
    """The result of ``fit``. The model holds the weights of ``restored_step`` (best or last, as configured).

    ``seconds`` and ``trained_tokens`` are those of this process, without what an interrupted one did before.
    ``kept_steps``, ascending, are those whose weights ``load_checkpoint(step)`` loads into the model.
    """

    progress: Progress
    restored_step: int
    seconds: float
    trained_tokens: int
    kept_steps: tuple[int, ...]
    load_checkpoint: Callable[[int], None]


def fit(
    model: nn.Module,
    rows: Sequence[TrainingRow],
    eval_rows: Sequence[TrainingRow],
    config: FitConfig,
    state: StateFolder,
    tracker: Tracker,
    loss: Loss = DEFAULT_LOSS,
    fsdp: bool = False,
    accept: Accept | None = None,
) -> Fitted:
    """Train ``model`` in place on ``rows``, evaluating on ``eval_rows``; both lists are tokenised and not empty.

    Args:
        loss: what is minimised; both lists must hold what it needs.
        state: where resume points are kept; if one is there, training goes on from it.
        tracker: takes the metrics of steps and evaluations; flushed before each resume point, so none is lost.
        fsdp: whether several processes divide the weights among them (FSDP), and not only the rows (DDP).
        accept: called after every evaluation, before its resume point is written; for one process. It must return
            True at step 0, and the same again for the same weights.

    Raises:
        Diverged: a loss or gradient norm is not finite; the last resume point still is.
        TypeError: the rows are not what the loss needs.
        ValueError: ``config`` has no learning rate or no epochs.
    """
    start = perf_counter()
    loss.require([*rows, *eval_rows])
    if not (config.epochs and config.lr):
        raise ValueError("epochs and lr must be above 0; train.defaults.complete fills them in")
    device, weights = next(model.parameters()).device, trained_weights(model)
    loop = _Loop(model, rows, eval_rows, config, state, tracker, loss, fsdp, accept)
    found = state.load()
    distributed.wait()  # no process may write a new point before all have read the old one
    before = found[0].trained_tokens if found else 0
    with accelerated(loop.module, write_gradients=distributed.world_size() == 1):
        progress = loop.run(found)
    del loop  # with FSDP, the shards and their optimizer must go before the whole model comes back
    model.to(device)
    load_checkpoint = partial(_load_checkpoint, weights, state)
    wanted = progress.best_step if config.restore == "best" else progress.step
    load_checkpoint(wanted)
    seconds, tokens = perf_counter() - start, progress.trained_tokens - before
    return Fitted(progress, wanted, seconds, tokens, state.kept(progress), load_checkpoint)


class _Loop:
    def __init__(
        self,
        model: Any,
        rows: Sequence[TrainingRow],
        eval_rows: Sequence[TrainingRow],
        config: FitConfig,
        state: StateFolder,
        tracker: Tracker,
        loss: Loss,
        fsdp: bool,
        accept: Accept | None,
    ) -> None:
        self.rows, self.eval_rows, self.loss, self.accept = rows, eval_rows, loss, accept
        self.config, self.state, self.tracker = config, state, tracker
        self.device = next(model.parameters()).device
        self.model = distributed.wrap(model, fsdp)
        self.module = distributed.unwrap(self.model)
        self.weights = trained_weights(self.module)
        self.rows_per_step = config.batch_size * config.accumulation
        self.steps_per_epoch = math.ceil(len(rows) / self.rows_per_step)
        self.total_steps = self.steps_per_epoch * config.epochs
        self.autocast = choose_autocast(config.precision, self.device, holds_bf16(model))
        self.optimizer = make_optimizer(self.weights.values(), config.lr, config)
        self.since_point: list[tuple[float, ...]] = []
        self.steps_per_point = math.ceil(self.total_steps / MOST_POINTS)
        self.eval_steps = eval_schedule(self.steps_per_epoch, config.epochs, config.evals_per_epoch)

    def run(self, found: SavedState | None) -> Progress:
        progress = self._resume(found)
        if not progress.history:
            self._evaluate(progress)
        began, tokens_before = perf_counter(), progress.trained_tokens
        with self._bar(progress.step) as bar:
            for epoch, order in self._steps_from(progress.step):
                if progress.finished:
                    break
                loss, beside, tokens, norm = self._step(order, progress.step)
                progress.step += 1
                progress.trained_tokens += tokens
                due = progress.step in self.eval_steps
                self.since_point.append((loss, *beside))
                self._log_step(progress, epoch, norm, due)
                bar.update()
                rate = (progress.trained_tokens - tokens_before) / (perf_counter() - began)
                bar.set_postfix_str(f"{rate:.0f} trained tokens/s, loss {loss:.3f}", refresh=False)
                if due:
                    self._evaluate(progress)
        return progress

    def _bar(self, step: int) -> Any:
        is_shown = distributed.rank() == 0 and step < self.total_steps
        return progress_bar(self.total_steps, "training", "step", done=step, is_shown=is_shown)

    def _log_step(self, progress: Progress, epoch: float, norm: float, due: bool) -> None:
        """Log the means since the last point; long runs get a point every few steps, short ones every step."""
        step = progress.step
        if due or step % self.steps_per_point == 0:
            loss, *means = (sum(each) / len(self.since_point) for each in zip(*self.since_point, strict=True))
            beside = {f"train/{name}": value for name, value in self.loss.named(means).items()}
            rest = {"train/grad_norm": norm, "train/lr": self._lr_at(step - 1), "epoch": epoch}
            rest["train/trained_tokens"] = progress.trained_tokens
            self.tracker.log(step, {"train/loss": loss, **beside, **rest})
            self.since_point.clear()

    def _resume(self, found: SavedState | None) -> Progress:
        if found is None:
            return Progress()
        progress, weights, optimizer = found
        _set_weights(self.weights, weights)
        load_optimizer(self.optimizer, self.weights, optimizer)
        return progress

    def _steps_from(self, step: int) -> Iterator[tuple[float, np.ndarray]]:
        """(epochs done after the step, row numbers) of every step that is left."""
        for epoch in range(step // self.steps_per_epoch, self.config.epochs):
            for i, order in enumerate(step_rows(len(self.rows), self.rows_per_step, self.config.seed, epoch)):
                if epoch * self.steps_per_epoch + i >= step:
                    yield epoch + (i + 1) / self.steps_per_epoch, order

    def _step(self, order: np.ndarray, step: int) -> tuple[float, list[float], int, float]:
        """One step on the rows ``order``: (mean loss, means beside it, trained tokens, gradient norm)."""
        self.model.train()
        torch.manual_seed(dropout_seed(self.config.seed, step))
        units = sum(self.loss.units(self.rows[i]) for i in order)
        loss, beside = 0.0, np.zeros(1 + len(self.loss.measures))
        for chosen, share, context in self._passes(order):
            with context:
                for batch in self._batches(chosen):
                    with self.autocast():
                        total, found = self.loss.compute(self.model, batch, self.device)
                    part = total * share / units
                    part.backward()
                    loss, beside = loss + part.item(), beside + found.cpu().double().numpy() * share
        loss, *sums = (distributed.mean_value(each, self.device) for each in (loss, *beside.tolist()))
        norm = self._clip()
        self._require_numbers(step + 1, {"loss": loss, "gradient norm": norm})
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr_at(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, [each / units for each in sums], sum(self.rows[i].trained for i in order), norm

    def _batches(self, chosen: np.ndarray) -> list[Batch]:
        """The rows of a pass, packed; on a CPU in parts, for the activations of long rows take a megabyte a token.

        Not in several processes, which must make as many passes as each other, nor for a loss that compares the rows of
        its batch.
        """
        rows = [self.rows[i] for i in chosen]
        if self.device.type == "cpu" and distributed.world_size() == 1 and self.loss.needs != "rated":
            return pack_parts(rows, self.config.row_tokens, PASS_TOKENS)
        return [pack(rows, self.config.row_tokens)]

    def _passes(self, order: np.ndarray) -> Iterator[tuple[np.ndarray, int, AbstractContextManager[None]]]:
        """This process's passes on the rows ``order``: (row numbers, factor of their loss, context of the pass).

        Gradients are averaged over the processes, so the factor is their number; it is 0 for a row that only serves
        to make as many passes as the others.
        """
        size, world = self.config.batch_size, distributed.world_size()
        mine = order[distributed.rank() :: world]
        last = math.ceil(math.ceil(len(order) / world) / size) - 1
        for number in range(last + 1):
            chosen = mine[number * size : (number + 1) * size]
            context = distributed.accumulating(self.model) if number < last else nullcontext()
            yield (chosen, world, context) if len(chosen) else (order[:1], 0, context)

    def _clip(self) -> float:
        """Scale the gradients to a norm of at most ``config.clip``; returns their L2 norm before."""
        norm = nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip or math.inf)
        return float(distributed.full(norm))

    def _require_numbers(self, step: int, found: dict[str, float]) -> None:
        if not all(map(math.isfinite, found.values())):
            values, lr = ", ".join(f"{name} {value:g}" for name, value in found.items()), self.config.lr
            raise Diverged(f"training diverged at step {step} ({values}): lower lr (it is {lr:g}) or raise warmup")

    def _lr_at(self, step: int) -> float:
        return self.config.lr * lr_factor(step, self.total_steps, self.config.warmup, self.config.schedule)

    def _evaluate(self, progress: Progress) -> None:
        with self.autocast():
            size, row_tokens = self.config.batch_size * 4, self.config.row_tokens
            loss, beside = measure_all(self.module, self.eval_rows, self.loss, size, row_tokens)
        self._require_numbers(progress.step, {"eval loss": loss})
        progress.history.append((progress.step, loss))
        self.tracker.log(
            progress.step, {"eval/loss": loss, **{f"eval/{name}": value for name, value in beside.items()}}
        )
        if self.accept is not None and not self.accept(self.module, progress.step):
            progress.rejected.append(progress.step)
        since_best = sum(step > progress.best_step for step, _ in progress.history)
        stopped = 0 < self.config.patience <= since_best or progress.step in progress.rejected
        progress.finished = stopped or progress.step == self.total_steps
        weights = distributed.gather(self.weights)
        optimizer = distributed.gather(optimizer_tensors(self.optimizer, self.weights))
        if distributed.rank() == 0:
            self.tracker.flush()
            self.state.save(progress, weights, optimizer)
        distributed.wait()


def _load_checkpoint(parameters: dict[str, nn.Parameter], state: StateFolder, step: int) -> None:
    _set_weights(parameters, load_file(state.weights_file(step)))


@torch.no_grad()
def _set_weights(parameters: dict[str, nn.Parameter], weights: dict[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(distributed.placed_like(weights[name], parameter))


def choose_autocast(precision: str, device: torch.device, held: bool = False) -> Callable[[], Any]:
    """A context of bf16 where it is configured, or fast (GPUs that have it, CPUs with AMX tiles); else of fp32.

    On a CPU, ``held`` layers multiply in bf16 by themselves, and nothing else gains from it.
    """
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_amx_tile_supported() and not held
    )
    if precision == "bf16" or (precision == "auto" and fast):
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext
