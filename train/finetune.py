"""Fine-tuning a base model: the one function that recipes, noisy-label learners and server jobs call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from data.atomic_write import atomic_write
from data.chat_format import answer_directly, chat_format, stop_token_ids, template_of
from data.errors import UserError
from inference import precision
from inference.bf16_linear import holds_bf16
from inference.locations import REGISTERED, ModelLocation
from train import base_model, defaults, distributed, trainable
from train.base_model import Base
from train.config import FinetuneConfig
from train.cpu_kernels import accelerated
from train.encoding import TrainingRow
from train.loop import Accept, Fitted, Tracker, choose_autocast, fit
from train.losses import DEFAULT_LOSS, Loss, log_probs, with_reference
from train.resume import StateFolder

#: Log-probabilities of training and validation rows under the reference model: ``[rows, 2]`` in nats.
REFERENCE = "reference_log_probs.npy"


@dataclass(frozen=True)
class LoadedBase:
    """A base model in memory.

    ``max_length``: tokens of one training row, at most what the model has positions for. ``held``: how its weights are
    held, ``fp32``, ``bf16`` or ``4bit``.
    """

    source: Base
    model: Any
    tokenizer: Any
    max_length: int
    held: str = "fp32"

    @property
    def parameters(self) -> int:
        """How many weights the base has."""
        return self.model.num_parameters()


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned model in memory, with the weights of ``fitted.restored_step``; for LoRA a PEFT model."""

    base: LoadedBase
    config: FinetuneConfig
    model: Any
    fitted: Fitted

    @property
    def model_config(self) -> dict[str, Any]:
        """What a registered version is logged with: how it finds its base, and how it prompts and answers."""
        return logged_config(self.base, self.config)

    def save_checkpoints(self, folder: Path) -> dict[int, Path]:
        """Write the weights of all kept steps to ``folder/step-N``; returns these folders by step."""
        name = self.base.source.pretrained_name
        folders = {step: folder / f"step-{step}" for step in self.fitted.kept_steps}
        for step, path in folders.items():
            self.fitted.load_checkpoint(step)
            trainable.save(self.model, self.base.tokenizer, name, path)
        self.fitted.load_checkpoint(self.fitted.restored_step)
        return folders


def logged_config(base: LoadedBase, config: FinetuneConfig) -> dict[str, Any]:
    """What a version is logged with that was trained from ``base``: how it finds its base, prompts and answers."""
    return {
        "kind": config.method,
        "base_path": str(base.source.folder),
        "base_digest": base.source.digest,
        "load": base.held,
        "chat_template": template_of(base.tokenizer),
        "stop_token_ids": sorted(stop_token_ids(base.tokenizer, base.model)),
        "thought_end": chat_format(base.tokenizer).scaffold,
        "max_new_tokens": config.max_new_tokens,
    }


def load_base(
    config: FinetuneConfig, answer_tokens: int = 0, thoughts: bool = False, start: ModelLocation | None = None
) -> LoadedBase:
    """Find and load the base that ``config`` names, and check that its layers can be adapted as ``config`` says.

    Args:
        answer_tokens: positions that are left free for an answer after the longest row.
        thoughts: whether thoughts are trained, so that the model must write its own; else its chat template is made to
            answer directly.
        start: a model that goes on being trained, in place of the one that ``config`` names; the adapter of a LoRA one
            is loaded, and trained further.

    Raises:
        UserError: the base can't be had, its chat template can't be used, or ``targets`` names no layer of it.
    """
    found = distributed.first_alone(lambda: _found(config, start))
    device = base_model.pick_device()
    if start and config.load == "auto":
        config = replace(config, load=start.load)  # as its weights were trained
    held = distributed.first_alone(lambda: _held(config, found.folder, device))
    model, tokenizer = base_model.load(found, device, held)
    if start and start.template:
        tokenizer.chat_template = start.template
    elif not thoughts:
        answer_directly(tokenizer)
    if start and start.info.kind == "lora":
        model = trainable.load_adapter(model, start.folder)
    else:
        trainable.check_targets(model, config)
    room = base_model.context_length(model) - answer_tokens
    return LoadedBase(found, model, tokenizer, min(config.max_length, room), held)


def _found(config: FinetuneConfig, start: ModelLocation | None) -> Base:
    """The base that ``config`` names, or that of ``start``: a version whose weights are whole is itself one."""
    if start is None:
        return base_model.resolve(config.base_model)
    info, folder = start.info, start.base
    assert folder
    if info.kind == "full":
        return Base(f"{REGISTERED}{info.reference}", folder, "", info.digest, "start", "a registered version")
    reason = f"the base of {info.reference}"
    try:
        named = base_model.resolve(info.base_model)
    except UserError:
        named = None
    if named and named.digest == info.base_digest:
        return replace(named, folder=folder, reason=reason)
    return Base(info.base_model, folder, "", info.base_digest, reason, "a registered version")


def _held(config: FinetuneConfig, folder: Path, device: str) -> str:
    wanted = "fp32" if config.load == "auto" and config.precision == "fp32" else config.load
    return precision.choose(wanted, folder, device, frozen=config.method == "lora")


def reload(base: LoadedBase) -> LoadedBase:
    """The same base with its original weights, in a model object of its own."""
    model, _ = base_model.load(base.source, base_model.pick_device(), base.held)
    return replace(base, model=model)


def finetune(
    rows: Sequence[TrainingRow],
    eval_rows: Sequence[TrainingRow],
    base: LoadedBase,
    config: FinetuneConfig,
    tracker: Tracker,
    state: StateFolder,
    loss: Loss = DEFAULT_LOSS,
    accept: Accept | None = None,
) -> Finetuned:
    """Fine-tune ``base`` on tokenised ``rows``; the base's own model object becomes the tuned one.

    Args:
        eval_rows: rows that choose the best step; tokenised too.
        tracker: takes the metrics of steps and evaluations.
        state: where resume points are kept; if one is there, training goes on from it.
        loss: what is minimised; where it needs a reference model, that is the base as it is before training.
        accept: whether a checkpoint may be chosen, see ``train.loop.fit``.

    Raises:
        ConfigError: ``config.distributed`` does not fit the method or how the processes were started.
        Diverged: the loss or the gradient stopped being a number.
        TypeError: the rows are not what the loss needs.
    """
    config = defaults.complete(config, base.parameters)
    if loss.needs_reference:
        known = _reference(base, [*rows, *eval_rows], config, state.folder)
        rows, eval_rows = with_reference(rows, known[: len(rows)]), with_reference(eval_rows, known[len(rows) :])
    if loss.needs != "rows":
        trainable.without_dropout(base.model)
    model = trainable.make_trainable(base.model, config)
    fsdp = distributed.uses_fsdp(config.distributed, config.method)
    return Finetuned(base, config, model, fit(model, rows, eval_rows, config, state, tracker, loss, fsdp, accept))


def _reference(base: LoadedBase, rows: Sequence[Any], config: FinetuneConfig, folder: Path) -> np.ndarray:
    """Log-probabilities of both sequences of ``rows`` under the base model in nats, ``[rows, 2]``.

    They are computed once, before the first step, and kept in ``folder``; a resumed run reads them.
    """
    path = folder / REFERENCE
    if not path.is_file():
        device = next(base.model.parameters()).device
        autocast = choose_autocast(config.precision, device, holds_bf16(base.model))
        with accelerated(base.model), autocast():  # rounded as in training, so that training starts from rewards of 0
            known = log_probs(base.model, rows, config.batch_size * 4, config.row_tokens)
        _keep(known, path)
        return known
    known = np.load(path)
    if len(known) != len(rows):
        raise UserError(f"{path} holds {len(known)} rows, not {len(rows)}: it is of other data; remove it")
    return known


def _keep(found: np.ndarray, path: Path) -> None:
    if distributed.rank() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file, file.open("wb") as stream:  # np.save adds .npy to a name without it
            np.save(stream, found)
