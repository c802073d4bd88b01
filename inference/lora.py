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
        groups = self._groups()
        for addition in self._additions:
            addition.groups = groups

    def _groups(self) -> "_Groups | None":
        """The rows of each adapter; None where there is one adapter, and every row has it."""
        if not self._adapters or (len(self._adapters) == 1 and None not in self.rows):
            return None
        number = {id(adapter): i for i, adapter in enumerate(self._adapters)}
        members: list[list[int]] = [[] for _ in self._adapters]
        for row, adapter in enumerate(self.rows):
            if adapter:
                members[number[id(adapter)]].append(row)
        return _Groups.of(members, len(self.rows), next(self._model.parameters()).device)

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


@dataclass(frozen=True)
class _Groups:
    """The rows of a batch by adapter, each group filled up to the size of the largest one.

    ``order [adapters * size]``: the batch's row at each place of the groups; ``places [rows]``: where each row is in
    them, or behind them where it has no adapter. ``are_all``: whether every row has one.
    """

    order: Any
    places: Any
    are_all: bool

    @classmethod
    def of(cls, members: Sequence[Sequence[int]], rows: int, device: Any) -> "_Groups":
        """The groups of ``members``, the rows of each adapter, of a batch of so many ``rows``."""
        import torch

        size = max(map(len, members), default=0)
        order = [group[min(i, len(group) - 1)] for group in members for i in range(size)]
        places = [len(order)] * rows
        for number, group in enumerate(members):
            for i, row in enumerate(group):
                places[row] = number * size + i
        are_all = sum(map(len, members)) == rows
        return cls(torch.tensor(order, device=device), torch.tensor(places, device=device), are_all)


class _Addition:
    """A forward hook that adds each row's ``x A B`` to the output of ``layer``, all adapters' in one batched product.

    Rows are multiplied by their own adapter's sides only, so what is not a number in one adapter stays in its rows. A
    gather and two batched products per layer: with few rows, each operation costs more than what it computes.
    """

    def __init__(self, layer: Any, name: str, adapters: Sequence[LoraAdapter]) -> None:
        import torch

        self.layer = layer
        self.groups: _Groups | None = None
        sides = [_sides(*each.layers[name], each.scale) if name in each.layers else None for each in adapters]
        largest = max((each for each in sides if each), key=lambda each: each[0].shape[1])
        missing = largest[0][:, :0], largest[1][:0]
        rank = largest[0].shape[1]
        self.down, self.up = (
            torch.stack([_filled((each or missing)[at], 1 - at, rank) for each in sides]) for at in (0, 1)
        )

    def __call__(self, module: Any, args: tuple[Any, ...], out: Any) -> Any:
        import torch

        x = args[0].to(self.down.dtype)
        if self.groups is None:
            inner = x @ self.down[0]
            if out.dtype == inner.dtype:
                return torch.addmm(out.flatten(0, -2), inner.flatten(0, -2), self.up[0]).view_as(out)
            return out + (inner @ self.up[0]).to(out.dtype)
        groups, columns = self.groups, x.shape[1:-1]
        picked = x.index_select(0, groups.order).view(len(self.down), -1, x.shape[-1])
        added = torch.bmm(torch.bmm(picked, self.down), self.up).view(len(groups.order), *columns, -1)
        if not groups.are_all:
            added = torch.cat([added, added.new_zeros(1, *added.shape[1:])])
        return out + added.index_select(0, groups.places).to(out.dtype)


def _sides(down: Any, up: Any, scale: float) -> tuple[Any, Any]:
    """Both sides in float32 at least, ``up`` scaled."""
    import torch

    down, up = (side.to(torch.promote_types(side.dtype, torch.float32)) for side in (down, up))
    return down, up * scale


def _filled(side: Any, dimension: int, rank: int) -> Any:
    """``side`` with zeros up to ``rank`` along ``dimension``."""
    import torch

    lacking = rank - side.shape[dimension]
    return torch.nn.functional.pad(side, (0, lacking) if dimension == 1 else (0, 0, 0, lacking))
