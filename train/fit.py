"""The training loop: the same for a LoRA of one minute and for the base model of one hour."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from data.errors import UserError
from train import parallel
from train.batching import Batch, pack, step_rows
from train.config import FitConfig
from train.encoding import Example
from train.optimizer import load_optimizer, make_optimizer, optimizer_tensors
from train.speed import accelerated
from train.state import Progress, SavedState, StateFolder

MOST_POINTS = 500


class Tracker(Protocol):
    """Where metrics go; ``registry.runs.Run`` is one."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Take ``metrics`` at ``step``."""

    def flush(self) -> None:
        """Deliver what was taken."""


class Diverged(UserError):
    """The loss or the gradient stopped being a number."""

    tags: ClassVar = {"verdict": "diverged"}


@dataclass(frozen=True)
class Fitted:
    """What training did. The model holds the restored weights (best or last, as configured).

    ``kept_steps``, ascending, are those whose weights ``put(step)`` can put into the model.
    """

    progress: Progress
    restored_step: int
    seconds: float
    trained_tokens: int
    kept_steps: tuple[int, ...]
    put: Callable[[int], None]


def fit(
    model: nn.Module,
    rows: Sequence[Example],
    eval_rows: Sequence[Example],
    config: FitConfig,
    state: StateFolder,
    tracker: Tracker,
    lr: float,
) -> Fitted:
    """Train ``model`` in place on ``rows``, evaluating on ``eval_rows``; both lists are tokenised and not empty.

    Args:
        state: where resume points are kept; if one is there, training goes on from it.
        tracker: takes the metrics of steps and evaluations; flushed before each resume point, so none is lost.
        lr: the peak learning rate.

    Raises:
        Diverged: a loss or gradient norm is not finite; the last resume point still is.
    """
    start = perf_counter()
    loop = _Loop(model, rows, eval_rows, config, state, tracker, lr)
    found = state.load()
    parallel.wait()  # nobody may write a new point before everybody has read the old one
    before = found[0].trained_tokens if found else 0
    with accelerated(model):
        progress = loop.run(found)
    wanted = progress.best_step if config.restore == "best" else progress.step
    loop.restore(wanted)
    seconds, tokens = perf_counter() - start, progress.trained_tokens - before
    return Fitted(progress, wanted, seconds, tokens, state.kept(progress), loop.restore)


class _Loop:
    def __init__(
        self,
        model: Any,
        rows: Sequence[Example],
        eval_rows: Sequence[Example],
        config: FitConfig,
        state: StateFolder,
        tracker: Tracker,
        lr: float,
    ):
        self.model, self.rows, self.eval_rows = model, rows, eval_rows
        self.config, self.state, self.tracker = config, state, tracker
        self.device = next(model.parameters()).device
        self.weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.rows_per_step = config.batch_size * config.accumulation
        self.steps_per_epoch = math.ceil(len(rows) / self.rows_per_step)
        self.total_steps = self.steps_per_epoch * config.epochs
        self.autocast = choose_autocast(config.precision, self.device)
        self.optimizer = make_optimizer(self.weights.values(), lr, config)
        self.lr = lr
        self.since_point: list[tuple[float, float]] = []
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
                loss, accuracy, tokens, norm = self._step(order, progress.step)
                progress.step += 1
                progress.trained_tokens += tokens
                due = progress.step in self.eval_steps
                self.since_point.append((loss, accuracy))
                self._log_step(progress.step, epoch, norm, due)
                bar.update()
                rate = (progress.trained_tokens - tokens_before) / (perf_counter() - began)
                bar.set_postfix_str(f"{rate:.0f} trained tokens/s, loss {loss:.3f}", refresh=False)
                if due:
                    self._evaluate(progress)
        return progress

    def _bar(self, step: int) -> Any:
        quiet = parallel.rank() > 0 or step == self.total_steps
        return tqdm(total=self.total_steps, initial=step, desc="training", unit="step", mininterval=0.5, disable=quiet)

    def _log_step(self, step: int, epoch: float, norm: float, due: bool) -> None:
        """Log the means since the last point; long runs get a point every few steps, short ones every step."""
        if due or step % self.steps_per_point == 0:
            loss, accuracy = (sum(each) / len(self.since_point) for each in zip(*self.since_point, strict=True))
            rest = {"train/grad_norm": norm, "train/lr": self._lr_at(step - 1), "epoch": epoch}
            self.tracker.log(step, {"train/loss": loss, "train/token_accuracy": accuracy, **rest})
            self.since_point.clear()

    def _resume(self, found: SavedState | None) -> Progress:
        if found is None:
            return Progress()
        progress, weights, optimizer = found
        self._set_weights(weights)
        load_optimizer(self.optimizer, self.weights, optimizer)
        return progress

    def _steps_from(self, step: int) -> Iterator[tuple[float, np.ndarray]]:
        """(epochs done after the step, row numbers) of every step that is left."""
        for epoch in range(step // self.steps_per_epoch, self.config.epochs):
            for i, order in enumerate(step_rows(len(self.rows), self.rows_per_step, self.config.seed, epoch)):
                if epoch * self.steps_per_epoch + i >= step:
                    yield epoch + (i + 1) / self.steps_per_epoch, order

    def _step(self, order: np.ndarray, step: int) -> tuple[float, float, int, float]:
        """One step on the rows ``order``: (mean loss and share of hits of its tokens, their number, gradient norm)."""
        self.model.train()
        torch.manual_seed(dropout_seed(self.config.seed, step))
        tokens = sum(self.rows[i].trained for i in order)
        loss, hits = 0.0, 0.0
        mine = order[parallel.rank() :: parallel.world_size()]
        for start in range(0, len(mine), self.config.batch_size):
            batch = self._pack([self.rows[i] for i in mine[start : start + self.config.batch_size]])
            with self.autocast():
                total, right = loss_and_hits(self.model, batch, self.device)
            part = total / tokens
            part.backward()
            loss, hits = loss + part.item(), hits + right.item()
        loss, hits = (parallel.sum_value(each, self.device) for each in (loss, hits))
        parallel.sum_gradients(self.weights.values())
        norm = float(nn.utils.clip_grad_norm_(self.weights.values(), self.config.clip or math.inf))
        self._require_numbers(step + 1, {"loss": loss, "gradient norm": norm})
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr_at(step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, hits / tokens, tokens, norm

    def _require_numbers(self, step: int, found: dict[str, float]) -> None:
        if not all(map(math.isfinite, found.values())):
            said = ", ".join(f"{name} {value:g}" for name, value in found.items())
            raise Diverged(f"training diverged at step {step} ({said}): lower lr (it is {self.lr:g}) or raise warmup")

    def _lr_at(self, step: int) -> float:
        return self.lr * lr_factor(step, self.total_steps, self.config.warmup, self.config.schedule)

    def _pack(self, examples: Sequence[Example]) -> Batch:
        return pack(examples, self.config.row_tokens)

    def _evaluate(self, progress: Progress) -> None:
        with self.autocast():
            loss, accuracy = measure(self.model, self.eval_rows, self.config.batch_size * 4, self.config.row_tokens)
        self._require_numbers(progress.step, {"eval loss": loss})
        progress.history.append((progress.step, loss))
        self.tracker.log(progress.step, {"eval/loss": loss, "eval/token_accuracy": accuracy})
        since_best = sum(step > progress.best_step for step, _ in progress.history)
        stopped = 0 < self.config.patience <= since_best
        progress.finished = stopped or progress.step == self.total_steps
        if parallel.rank() == 0:
            self.tracker.flush()
            self.state.save(progress, self.weights, optimizer_tensors(self.optimizer, self.weights))
        parallel.wait()

    def restore(self, step: int) -> None:
        self._set_weights(load_file(self.state.weights_file(step)))

    @torch.no_grad()
    def _set_weights(self, weights: dict[str, Tensor]) -> None:
        for name, parameter in self.weights.items():
            parameter.copy_(weights[name])


def loss_and_hits(model: nn.Module, batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Over the trained tokens of ``batch``: summed cross-entropy in nats (float32), and how many are put first."""
    logits = trained_logits(model, batch, device).float()
    targets = torch.from_numpy(batch.targets).to(device)
    return F.cross_entropy(logits, targets, reduction="sum"), (logits.detach().argmax(-1) == targets).sum()


@torch.no_grad()
def measure(
    model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512
) -> tuple[float, float]:
    """Over the trained tokens of ``rows``: mean loss in nats, and the share that the model puts first."""
    model.eval()
    device = next(model.parameters()).device
    total, hits, tokens = 0.0, 0, 0
    for start in range(0, len(rows), batch_size):
        batch = pack(rows[start : start + batch_size], row_tokens)
        loss, right = loss_and_hits(model, batch, device)
        total, hits, tokens = total + loss.item(), hits + int(right), tokens + len(batch.targets)
    return total / tokens, hits / tokens


def mean_loss(model: nn.Module, rows: Sequence[Example], batch_size: int = 32, row_tokens: int = 512) -> float:
    """Mean loss per trained token over ``rows``, in nats."""
    return measure(model, rows, batch_size, row_tokens)[0]


def head_of(model: Any) -> nn.Module:
    """The module that turns hidden states into logits, of a bare or an adapted model."""
    return model.get_output_embeddings()


def trained_logits(model: nn.Module, batch: Batch, device: torch.device) -> Tensor:
    """Logits ``[N, vocabulary]`` at the trained positions of ``batch`` only: the head is almost half of a small model.

    The positions are picked right before the head, so whatever a model does to its logits afterwards still happens.
    """
    picked = torch.from_numpy(batch.sources).to(device)

    def pick(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        return (hidden.reshape(-1, hidden.shape[-1])[picked],)

    mask = None if batch.mask is None else _attention_mask(model, torch.from_numpy(batch.mask).to(device))
    hook = head_of(model).register_forward_pre_hook(pick)
    try:
        out = model(
            input_ids=torch.from_numpy(batch.input_ids).to(device),
            position_ids=torch.from_numpy(batch.position_ids).to(device),
            attention_mask=mask,
            use_cache=False,
        )
    finally:
        hook.remove()
    return out.logits


def _attention_mask(model: nn.Module, seen: Tensor) -> Tensor:
    """``seen`` as the model takes it: eager attention adds its mask to the scores, so False must become -infinity."""
    if getattr(model.config, "_attn_implementation", None) != "eager":
        return seen
    dtype = next(model.parameters()).dtype
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)


def dropout_seed(seed: int, step: int) -> int:
    """The seed of one step's dropout: a function of the run's seed, the step and this process, so resuming is exact."""
    return int(np.random.SeedSequence([seed, step, parallel.rank()]).generate_state(1, np.uint64)[0])


def lr_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at ``step`` (0-based): a linear rise over ``warmup``, then the schedule."""
    rise = math.ceil(total * warmup)
    if step < rise:
        return (step + 1) / rise
    if schedule == "constant":
        return 1.0
    done = (step - rise) / max(1, total - rise)
    return 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2


def eval_schedule(steps_per_epoch: int, epochs: int, evals_per_epoch: int) -> set[int]:
    """Steps after which the model is evaluated: evenly within each epoch, its end always among them."""
    within = {math.ceil(steps_per_epoch * (k + 1) / evals_per_epoch) for k in range(evals_per_epoch)}
    return {epoch * steps_per_epoch + step for epoch in range(epochs) for step in within}


def choose_autocast(precision: str, device: torch.device) -> Callable[[], Any]:
    """bf16 where asked for or where it is fast: GPUs that have it, CPUs with AMX tiles; else plain fp32."""
    fast = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else torch.cpu._is_amx_tile_supported()
    )
    if precision == "bf16" or (precision == "auto" and fast):
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext
