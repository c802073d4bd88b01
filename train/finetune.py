"""Fine-tuning a base model: the one function that recipes, noisy-label learners and server jobs call."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from data.chat_format import answer_directly, chat_format, stop_token_ids, template_of
from inference import precision
from train import base_model, defaults, distributed, trainable
from train.base_model import Base
from train.config import FinetuneConfig
from train.encoding import Pair, TrainingRow
from train.loop import Accept, Fitted, Tracker, fit
from train.losses import DEFAULT_LOSS, Loss, add_reference
from train.resume import StateFolder


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
        return {
            "kind": self.config.method,
            "base_path": str(self.base.source.folder),
            "base_digest": self.base.source.digest,
            "load": self.base.held,
            "chat_template": template_of(self.base.tokenizer),
            "stop_token_ids": sorted(stop_token_ids(self.base.tokenizer, self.base.model)),
            "thought_end": chat_format(self.base.tokenizer).scaffold,
            "max_new_tokens": self.config.max_new_tokens,
        }

    def save_checkpoints(self, folder: Path) -> dict[int, Path]:
        """Write the weights of all kept steps to ``folder/step-N``; returns these folders by step."""
        name = self.base.source.pretrained_name
        folders = {step: folder / f"step-{step}" for step in self.fitted.kept_steps}
        for step, path in folders.items():
            self.fitted.load_checkpoint(step)
            trainable.save(self.model, self.base.tokenizer, name, path)
        self.fitted.load_checkpoint(self.fitted.restored_step)
        return folders


def load_base(config: FinetuneConfig, answer_tokens: int = 0, thoughts: bool = False) -> LoadedBase:
    """Find and load the base that ``config`` names, and check that its layers can be adapted as ``config`` says.

    Args:
        answer_tokens: positions that are left free for an answer after the longest row.
        thoughts: whether thoughts are trained, so that the model must write its own; else its chat template is made to
            answer directly.

    Raises:
        UserError: the base can't be had, its chat template can't be used, or ``targets`` names no layer of it.
    """
    found = distributed.first_alone(lambda: base_model.resolve(config.base_model))
    device = base_model.pick_device()
    held = distributed.first_alone(lambda: _held(config, found.folder, device))
    model, tokenizer = base_model.load(found, device, held)
    if not thoughts:
        answer_directly(tokenizer)
    trainable.check_targets(model, config)
    room = base_model.context_length(model) - answer_tokens
    return LoadedBase(found, model, tokenizer, min(config.max_length, room), held)


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
        rows, eval_rows = (_with_reference(each, base, config) for each in (rows, eval_rows))
    model = trainable.make_trainable(base.model, config)
    fsdp = distributed.uses_fsdp(config.distributed, config.method)
    return Finetuned(base, config, model, fit(model, rows, eval_rows, config, state, tracker, loss, fsdp, accept))


def _with_reference(rows: Sequence[TrainingRow], base: LoadedBase, config: FinetuneConfig) -> Sequence[TrainingRow]:
    """The pairs among ``rows`` with the base model as their reference, unless they have one already."""
    missing = [row for row in rows if isinstance(row, Pair) and row.reference is None]
    found = iter(add_reference(base.model, missing, config.batch_size, config.row_tokens))
    return [next(found) if isinstance(row, Pair) and row.reference is None else row for row in rows]
