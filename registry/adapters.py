"""LoRA adapters as plain tensors, and batches whose rows each have an adapter of their own.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models": a layer's output gets ``x A B`` added, scaled.
Kept apart from the base, an adapter costs no more memory than its file, needs no change of the base's modules to be
loaded or dropped, and any number of them answer in one batch.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
#: What a PEFT configuration may say beside plain LoRA: each changes how the base answers, so each is left to PEFT.
BEYOND_PLAIN = {
    "use_dora": "DoRA",
    "modules_to_save": "whole layers of its own",
    "bias": "biases of its own",
    "lora_bias": "biases of its own in its layers",
    "trainable_token_indices": "token embeddings of its own",
    "rank_pattern": "ranks by layer",
    "alpha_pattern": "scales by layer",
    "layer_replication": "repeated layers",
    "megatron_config": "Megatron layers",
    "target_parameters": "parameters without a layer",
    "use_qalora": "QALoRA",
    "use_bdlora": "block-diagonal LoRA",
    "alora_invocation_tokens": "activated LoRA",
    "arrow_config": "routed LoRA",
    "kasa_config": "KaSA",
    "monteclora_config": "MonteCLoRA",
}
#: What plain LoRA says, or what matters only while one is trained. Whatever else is set is left to PEFT, too.
PLAIN = set(
    "peft_type r lora_alpha use_rslora init_lora_weights fan_in_fan_out lora_dropout target_modules exclude_modules "
    "layers_to_transform layers_pattern base_model_name_or_path revision task_type inference_mode auto_mapping "
    "peft_version runtime_config ensure_weight_tying loftq_config eva_config corda_config lora_ga_config "
    "velora_config megatron_core qalora_group_size".split()
)
#: Beginnings that leave the base's weights as they are; the others take a part out of them (PiSSA, OLoRA, LoftQ).
PLAIN_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")


class Unmixable(Exception):
    """An adapter that is no plain LoRA; the message says what it has beside."""


@dataclass(frozen=True)
class Adapter:
    """A plain LoRA: by layer name ``(A [inputs, rank], B [rank, outputs])``, as stored, and the scale of ``A B``."""

    layers: Mapping[str, tuple[Any, Any]]
    scale: float
    bytes: int


def configuration(folder: Path) -> dict[str, Any]:
    """The adapter's PEFT configuration.

    Raises:
        UserError: there is none, it can't be read, or its weights are no safetensors file.
    """
    try:
        found = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder} holds no readable {CONFIG}") from error
    if not isinstance(found, dict):
        raise UserError(f"{folder} holds no readable {CONFIG}")
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder} holds no {WEIGHTS}; pickled weights are not loaded, they can run code")
    return found


def read(folder: Path, device: str = "cpu") -> Adapter:
    """The adapter in ``folder``, in PEFT's layout.

    Raises:
        UserError: it is no adapter, or a broken one.
        Unmixable: it is more than a plain LoRA.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = configuration(folder)
    require_plain(found)
    scale = _scale(found, folder)
    try:
        tensors = load_file(folder / WEIGHTS, device=device)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS} can't be read: {error}") from error
    sides: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        layer, _, side = name.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        if side not in ("lora_A", "lora_B") or tensor.ndim != 2 or not tensor.is_floating_point():
            raise Unmixable(f"it holds {name}")
        sides.setdefault(layer, {})[side] = tensor.t().contiguous()
    for layer, ab in sides.items():
        if len(ab) != 2 or ab["lora_A"].shape[1] != ab["lora_B"].shape[0]:
            raise UserError(f"{folder / WEIGHTS} is broken: the two sides of {layer} don't fit each other")
    layers = {layer: (ab["lora_A"], ab["lora_B"]) for layer, ab in sides.items()}
    return Adapter(layers, scale, sum(t.numel() * t.element_size() for ab in layers.values() for t in ab))


def _scale(found: Mapping[str, Any], folder: Path) -> float:
    alpha, rank = found.get("lora_alpha"), found.get("r")
    if not (isinstance(alpha, int | float) and isinstance(rank, int) and rank > 0 and math.isfinite(alpha)):
        raise UserError(f"{folder / CONFIG} is broken: lora_alpha={alpha}, r={rank}")
    return alpha / (math.sqrt(rank) if found.get("use_rslora") else rank)


def require_plain(found: Mapping[str, Any]) -> None:
    """Raise ``Unmixable`` for a PEFT configuration that is more than plain LoRA."""
    if found.get("peft_type") != "LORA":
        raise Unmixable(f"its kind is {found.get('peft_type')}")
    said = [key for key, value in found.items() if key not in PLAIN and value not in (None, False, "none", {}, [])]
    extras = [BEYOND_PLAIN.get(key, f"{key}, which is not known here") for key in sorted(said)]
    if found.get("init_lora_weights") not in PLAIN_BEGINNINGS:
        extras.append(f"a base changed by {found['init_lora_weights']}")
    if extras:
        raise Unmixable(f"it has {', '.join(extras)}")


def require_fit(model: Any, adapter: Adapter) -> None:
    """Make sure that ``model`` has the adapter's layers.

    Raises:
        UserError: a layer is not there, or has another shape: the adapter is for another model.
        Unmixable: a layer is of a kind that only PEFT knows.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    for name, (down, up) in adapter.layers.items():
        try:
            layer = model.get_submodule(name)
        except AttributeError:
            raise UserError(f"the adapter is for another model: this one has no layer {name}") from None
        if not isinstance(layer, (torch.nn.Linear, Conv1D)):
            raise Unmixable(f"its layer {name} is of the kind {type(layer).__name__}")
        shape = tuple(layer.weight.shape if isinstance(layer, Conv1D) else layer.weight.shape[::-1])
        if (down.shape[0], up.shape[1]) != shape:
            raise UserError(f"the adapter is for another model: layer {name} has another shape here")


class Mixture:
    """An adapter, or none, for each row of a batch.

    Args:
        model: whose layers they are for (``require_fit`` has seen to that).
        rows: row ``i`` of every batch gets ``rows[i]``; None is the base alone.
    """

    def __init__(self, model: Any, rows: Sequence[Adapter | None]):
        names = sorted({name for adapter in rows if adapter for name in adapter.layers})
        self._additions = [(model.get_submodule(name), _addition(name, rows)) for name in names]

    @contextmanager
    def worn(self) -> Iterator[None]:
        """While this lasts, every batch through the model must have just these rows; after it, the model is as before.

        Nobody else may use the model meanwhile.
        """
        hooks = []
        try:
            for layer, addition in self._additions:
                hooks.append(layer.register_forward_hook(addition))
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _addition(layer: str, rows: Sequence[Adapter | None]) -> Any:
    """A forward hook that adds each row's ``x A B``: all rows in one product, smaller ranks filled up with zeros."""
    import torch
    from torch.nn.functional import pad

    having = [
        (i, adapter, *adapter.layers[layer]) for i, adapter in enumerate(rows) if adapter and layer in adapter.layers
    ]
    rank = max(a.shape[1] for _, _, a, _ in having)
    down = torch.stack([pad(a.float(), (0, rank - a.shape[1])) for _, _, a, _ in having])
    up = torch.stack([pad(b.float() * adapter.scale, (0, 0, 0, rank - b.shape[0])) for _, adapter, _, b in having])
    chosen = None if len(having) == len(rows) else torch.tensor([i for i, *_ in having], device=down.device)

    def add(module: Any, args: tuple[Any, ...], out: Any) -> Any:
        if chosen is None:
            return out + torch.bmm(torch.bmm(args[0], down), up)
        out[chosen] += torch.bmm(torch.bmm(args[0][chosen], down), up)
        return out

    return add
