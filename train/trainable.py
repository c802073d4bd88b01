"""Making a model trainable: a LoRA adapter on its linear layers, or all of its weights."""

import copy
from pathlib import Path
from typing import Any

from data.errors import ConfigError
from train.config import FinetuneConfig


def make_trainable(model: Any, config: FinetuneConfig) -> Any:
    """The model to train: ``model`` itself with all weights trainable, or wrapped with a fresh adapter.

    A model that has an adapter already (``load_adapter``) goes on with it.

    Adapters are drawn from the global generator right after it is seeded with ``config.seed``.

    Raises:
        ConfigError: a name in ``targets`` matches no linear layer.
    """
    import torch

    torch.manual_seed(config.seed)
    if hasattr(model, "peft_config"):
        return model
    if config.method == "full":
        return model.requires_grad_(True)
    from peft import LoraConfig, get_peft_model

    names = target_names(model, config.targets)
    return get_peft_model(
        model,
        LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]  (PEFT only multiplies by it)
            lora_dropout=config.dropout,
            target_modules=names,
            fan_in_fan_out=_is_conv1d(_linear_layers(model)[names[0]]),
            task_type="CAUSAL_LM",
        ),
    )


def without_dropout(model: Any) -> None:
    """Set the dropout of the model's own modules to 0; an adapter's stays as it was asked for.

    The reference has none, so noise in the trained model would count as reward. TRL's
    trainers do the same (``disable_dropout``).
    """
    from torch import nn

    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout) and "lora_dropout" not in name:
            module.p = 0.0


def load_adapter(model: Any, folder: Path | None) -> Any:
    """``model`` with the adapter in ``folder``, whose weights are trainable."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder), is_trainable=True)


def sharing_weights(model: Any) -> Any:
    """A copy of the modules of ``model`` that holds the very same weights: adapters can be trained on both at once.

    The weights themselves must not be trained.
    """
    return copy.deepcopy(model, {id(each): each for each in (*model.parameters(), *model.buffers())})


def trained_weights(model: Any) -> dict[str, Any]:
    """The weights of ``model`` that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def adapter_settings(model: Any) -> dict[str, Any]:
    """Rank, alpha, dropout and targets of a model's adapter, as the config fields of these names; else none."""
    for adapter in getattr(model, "peft_config", {}).values():
        targets = ",".join(sorted(adapter.target_modules))
        return {
            "rank": adapter.r,
            "alpha": float(adapter.lora_alpha),
            "dropout": adapter.lora_dropout,
            "targets": targets,
        }
    return {}


def check_targets(model: Any, config: FinetuneConfig) -> None:
    """Raise ``ConfigError`` now for ``targets`` that ``make_trainable`` would refuse later."""
    if config.method == "lora":
        target_names(model, config.targets)


def target_names(model: Any, wanted: str) -> list[str]:
    """Last parts of the names of the layers to adapt, sorted: all Linear and Conv1D but the head, or those ``wanted``.

    Raises:
        ConfigError: one of the wanted names matches nothing; the message lists what there is.
    """
    present = sorted(_linear_layers(model))
    if wanted == "all":
        return present
    chosen = sorted({name.strip() for name in wanted.split(",") if name.strip()})
    unknown = [name for name in chosen if name not in present]
    if unknown or not chosen:
        raise ConfigError(f"targets: this model has no layer {', '.join(unknown)}; it has {', '.join(present)}")
    return chosen


def targets_of_parts(model: Any, attention: bool, mlp: bool) -> str:
    """``targets`` for the linear layers of attention, of the rest of each block, or ``all`` for both.

    Raises:
        ConfigError: neither is wanted, or this model has layers of both under one name.
    """
    if attention and mlp:
        return "all"
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name in _qualified_layers(model):
        found["attn" in name or "attention" in name].add(name.rpartition(".")[2])
    if not (attention or mlp):
        raise ConfigError("nothing would be trained: set train_attn or train_mlp")
    if found[True] & found[False]:
        both = ", ".join(sorted(found[True] & found[False]))
        raise ConfigError(f"this model has layers called {both} in attention and outside of it: train both, or neither")
    return ",".join(sorted(found[attention]))


def _linear_layers(model: Any) -> dict[str, Any]:
    return {name.rpartition(".")[2]: module for name, module in _qualified_layers(model).items()}


def _qualified_layers(model: Any) -> dict[str, Any]:
    """All linear layers but the head, by their qualified names."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module is not head
    }


def _is_conv1d(layer: Any) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(layer, Conv1D)


def pristine(model: Any) -> Any:
    """A context in which a LoRA model computes what its base does (adapter off); a full model is left as it is."""
    from contextlib import nullcontext

    return model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext()


def save(model: Any, tokenizer: Any, base_name: str, folder: Any) -> None:
    """Write the tuned model to ``folder``: an adapter alone in PEFT's layout, or a model with its tokenizer."""
    if hasattr(model, "peft_config"):
        for adapter in model.peft_config.values():
            adapter.base_model_name_or_path = base_name
        model.save_pretrained(folder, save_embedding_layers=False)
        Path(folder, "README.md").unlink(missing_ok=True)  # PEFT's empty template of a model card
        return
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
