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


class UnsupportedAdapter(Exception):
    """An adapter that is no plain LoRA; the message says what it has beside."""


@dataclass(frozen=True)
class LoraAdapter:
    """A plain LoRA: by layer name ``(A [inputs, rank], B [rank, outputs])``, as stored, and the scale of ``A B``."""

    layers: Mapping[str, tuple[Any, Any]]
    scale: float
    bytes: int


def adapter_of(model: Any) -> LoraAdapter:
    """The active adapter of ``model``, a PEFT model with plain LoRA; its tensors are shared, not copied."""
    name = model.active_adapter
    layers, scale, size = {}, 1.0, 0
    for layer, module in model.get_base_model().named_modules():
        if name in getattr(module, "lora_A", {}):
            down, up = (side[name].weight.detach().t() for side in (module.lora_A, module.lora_B))
            layers[layer], scale = (down, up), module.scaling[name]
            size += sum(tensor.numel() * tensor.element_size() for tensor in (down, up))
    return LoraAdapter(layers, scale, size)


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


def read(folder: Path, device: str = "cpu") -> LoraAdapter:
    """The adapter in ``folder``, in PEFT's layout.

    Raises:
        UserError: it is no adapter, or a broken one.
        UnsupportedAdapter: it is more than a plain LoRA.
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
            raise UnsupportedAdapter(f"it holds {name}")
        sides.setdefault(layer, {})[side] = tensor.t().contiguous()
    for layer, ab in sides.items():
        if len(ab) != 2 or ab["lora_A"].shape[1] != ab["lora_B"].shape[0]:
            raise UserError(f"{folder / WEIGHTS} is broken: the two sides of {layer} don't fit each other")
    layers = {layer: (ab["lora_A"], ab["lora_B"]) for layer, ab in sides.items()}
    return LoraAdapter(layers, scale, sum(t.numel() * t.element_size() for ab in layers.values() for t in ab))


def _scale(found: Mapping[str, Any], folder: Path) -> float:
    alpha, rank = found.get("lora_alpha"), found.get("r")
    if not (isinstance(alpha, int | float) and isinstance(rank, int) and rank > 0 and math.isfinite(alpha)):
        raise UserError(f"{folder / CONFIG} is broken: lora_alpha={alpha}, r={rank}")
    return alpha / (math.sqrt(rank) if found.get("use_rslora") else rank)


def require_plain(found: Mapping[str, Any]) -> None:
    """Raise ``UnsupportedAdapter`` for a PEFT configuration that is more than plain LoRA."""
    if found.get("peft_type") != "LORA":
        raise UnsupportedAdapter(f"its kind is {found.get('peft_type')}")
    others = [key for key, value in found.items() if key not in PLAIN and value not in (None, False, "none", {}, [])]
    extras = [BEYOND_PLAIN.get(key, f"{key}, which is not known here") for key in sorted(others)]
    if found.get("init_lora_weights") not in PLAIN_BEGINNINGS:
        extras.append(f"a base changed by {found['init_lora_weights']}")
    if extras:
        raise UnsupportedAdapter(f"it has {', '.join(extras)}")


def require_fit(model: Any, adapter: LoraAdapter) -> None:
    """Make sure that ``model`` has the adapter's layers.

    Raises:
        UserError: a layer is not there, or has another shape: the adapter is for another model.
        UnsupportedAdapter: a layer is of a kind that only PEFT knows.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    for name, (down, up) in adapter.layers.items():
        try:
            layer = model.get_submodule(name)
        except AttributeError:
            raise UserError(f"the adapter is for another model: this one has no layer {name}") from None
        if not isinstance(layer, (torch.nn.Linear, Conv1D)):
            raise UnsupportedAdapter(f"its layer {name} is of the kind {type(layer).__name__}")
        shape = tuple(layer.weight.shape) if isinstance(layer, Conv1D) else (layer.in_features, layer.out_features)
        if (down.shape[0], up.shape[1]) != shape:
            raise UserError(f"the adapter is for another model: layer {name} has another shape here")


class AdapterBatch:
    """An adapter, or none, for each row of a batch; rows can be added and removed.

    Args:
        model: whose layers they are for (``require_fit`` has seen to that).
        rows: row ``i`` of every batch gets ``rows[i]``; None is the base alone.
    """

    def __init__(self, model: Any, rows: Sequence[LoraAdapter | None] = ()) -> None:
        self.rows: list[LoraAdapter | None] = []
        self._model = model
        self._adapters: list[LoraAdapter] = []  # each once
        self._additions: list[_Addition] = []
        self.extend(rows)

    def extend(self, rows: Sequence[LoraAdapter | None]) -> None:
        """Append ``rows``."""
        self.rows += rows
        self._update()

    def drop(self, row: int) -> None:
        """Remove ``row``; the last one takes its place."""
        last = self.rows.pop()
        if row < len(self.rows):
            self.rows[row] = last
        self._update()

    def _update(self) -> None:
        used = {id(adapter): adapter for adapter in self.rows if adapter}
        kept = [adapter for adapter in self._adapters if id(adapter) in used]
        new = [adapter for key, adapter in used.items() if key not in map(id, kept)]
        if new or len(kept) < len(self._adapters):
            self._adapters = kept + new
            names = dict.fromkeys(name for adapter in self._adapters for name in adapter.layers)
            self._additions = [_Addition(self._model.get_submodule(name), name, self._adapters) for name in names]
        masks: dict[tuple[int, ...], Any] = {}
        for addition in self._additions:
            if addition.ranks not in masks:
                masks[addition.ranks] = self._others(addition.ranks)
            addition.others = masks[addition.ranks]

    def _others(self, ranks: Sequence[int]) -> Any:
        """Which of the adapters' dimensions, ``ranks`` of each, are not the row's own ``[rows, 1, dimensions]``.

        None where all are every row's own.
        """
        import torch

        if len(self._adapters) == 1 and None not in self.rows:
            return None
        owner = torch.repeat_interleave(torch.arange(len(ranks)), torch.tensor(ranks))
        number = {id(adapter): i for i, adapter in enumerate(self._adapters)}
        own = torch.tensor([number[id(adapter)] if adapter else -1 for adapter in self.rows])
        return (own[:, None] != owner)[:, None]

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context in which the model adds these adapters: each forward pass must have just these rows.

        Forward hooks are set and removed again; no other thread may use the model meanwhile.
        """
        hooks = []
        try:
            for addition in self._additions:
                hooks.append(addition.layer.register_forward_hook(addition))
            yield
        finally:
            for hook in hooks:
                hook.remove()


class _Addition:
    """A forward hook that adds each row's ``x A B`` to the output of ``layer``, with one product for all adapters.

    Their sides lie side by side: ``x`` is multiplied by every ``A``, and what is not of the row's own adapter is set to
    0 before the product with ``B``. Each weight is read once, however many rows have it.
    """

    def __init__(self, layer: Any, name: str, adapters: Sequence[LoraAdapter]) -> None:
        import torch

        self.layer = layer
        self.ranks = tuple(adapter.layers[name][0].shape[1] if name in adapter.layers else 0 for adapter in adapters)
        self.others: Any = None
        sides = [_finite(*adapter.layers[name], adapter.scale) for adapter in adapters if name in adapter.layers]
        self.down, self.up = torch.cat([down for down, _ in sides], 1), torch.cat([up for _, up in sides])

    def __call__(self, module: Any, args: tuple[Any, ...], out: Any) -> Any:
        import torch

        x = args[0].to(self.down.dtype)
        inner = x @ self.down
        if self.others is not None:
            inner = inner.masked_fill(self.others.to(inner.device), 0)
        if out.dtype == inner.dtype:
            return torch.addmm(out.flatten(0, -2), inner.flatten(0, -2), self.up).view_as(out)
        return out + (inner @ self.up).to(out.dtype)


def _finite(down: Any, up: Any, scale: float) -> tuple[Any, Any]:
    """Both sides in float32 at least, ``up`` scaled and finite: what is not a number would reach rows of others.

    An adapter that has any such weight makes its own rows not a number by ``down``.
    """
    import torch

    down, up = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in (down, up))
    up = up * scale
    if not bool(up.isfinite().all()):
        return torch.full_like(down, torch.nan), up.nan_to_num(0, 0, 0)
    return down, up
