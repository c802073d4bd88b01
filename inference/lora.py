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


#: From so many rows on, one product over all rows with one adapter is faster than one product a row.
SHARED_ROWS = 16


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
        self._additions: dict[str, _Addition] = {}
        self.extend(rows)

    def extend(self, rows: Sequence[LoraAdapter | None]) -> None:
        """Append ``rows``."""
        first = len(self.rows)
        self.rows += rows
        for name in {name for adapter in rows if adapter for name in adapter.layers} - self._additions.keys():
            self._additions[name] = _Addition(name, self._model.get_submodule(name))
        self._group(first)

    def drop(self, row: int) -> None:
        """Remove ``row``; the last one takes its place."""
        last = self.rows.pop()
        if row < len(self.rows):
            self.rows[row] = last
        wanted = {name for adapter in self.rows if adapter for name in adapter.layers}
        self._additions = {name: each for name, each in self._additions.items() if name in wanted}
        for addition in self._additions.values():
            addition.move(len(self.rows), row)
        self._group(len(self.rows))

    def _group(self, first: int) -> None:
        """In a large batch whose rows with an adapter all have the same one, one product over those rows is enough.

        Otherwise each row has a copy of its adapter; those of ``rows[first:]`` are made here.
        """
        import torch

        only, index = None, None
        if len(self.rows) >= SHARED_ROWS and len({id(adapter) for adapter in self.rows if adapter}) == 1:
            rows = [i for i, adapter in enumerate(self.rows) if adapter]
            only = self.rows[rows[0]]
            index = None if len(rows) == len(self.rows) else torch.tensor(rows)
        for addition in self._additions.values():
            addition.only, addition.index = only, index
            if only:
                addition.down = addition.up = None
            elif addition.down is None or first < len(self.rows):
                addition.write(self.rows, first)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Context in which the model adds these adapters: each forward pass must have just these rows.

        Forward hooks are set and removed again; no other thread may use the model meanwhile.
        """
        hooks = []
        try:
            for addition in self._additions.values():
                hooks.append(addition.layer.register_forward_hook(addition))
            yield
        finally:
            for hook in hooks:
                hook.remove()


class _Addition:
    """A forward hook that adds each row's ``x A B`` to the output of ``layer``: all rows in one product.

    Smaller ranks are filled up with zeros, and a row without an adapter has nothing else.
    """

    def __init__(self, name: str, layer: Any) -> None:
        self.name, self.layer = name, layer
        self.down: Any = None
        self.up: Any = None
        self.only: LoraAdapter | None = None  # the one adapter of all rows that have any
        self.index: Any = None  # these rows, ``[n]``; None for all
        self._used: tuple[Any, Any] = None, None

    def write(self, rows: Sequence[LoraAdapter | None], first: int) -> None:
        """Set the sides of ``rows[first:]``; those before stay."""
        import torch

        pairs = [adapter.layers.get(self.name) if adapter else None for adapter in rows]
        rank = max((pair[0].shape[1] for pair in pairs if pair), default=0)
        if self.down is None or len(rows) > self.down.shape[0] or rank > self.down.shape[2]:
            like, first = next(pair for pair in pairs if pair), 0
            height = len(rows) if self.down is None else max(len(rows), 2 * len(self._used[0]))
            dtype = torch.promote_types(like[0].dtype, torch.float32)
            self.down = like[0].new_zeros((height, like[0].shape[0], rank), dtype=dtype)
            self.up = like[1].new_zeros((height, rank, like[1].shape[1]), dtype=dtype)
        for i in range(first, len(rows)):
            self.down[i], self.up[i] = 0, 0
            adapter, pair = rows[i], pairs[i]
            if adapter and pair:
                width = pair[0].shape[1]
                self.down[i, :, :width] = pair[0]
                self.up[i, :width] = pair[1].to(self.up.dtype) * adapter.scale
        self._used = self.down[: len(rows)], self.up[: len(rows)]

    def move(self, row: int, to: int) -> None:
        """Let ``row``, the last one, take the place of row ``to``."""
        if self.down is None:
            return
        for side in (self.down, self.up):
            side[to] = side[row]
        self._used = self.down[:row], self.up[:row]

    def __call__(self, module: Any, args: tuple[Any, ...], out: Any) -> Any:
        import torch

        if self.only is None:
            down, up = self._used
            if out.dtype == down.dtype == args[0].dtype:
                return torch.baddbmm(out, torch.bmm(args[0], down), up)
            return out + torch.bmm(torch.bmm(args[0].to(down.dtype), down), up).to(out.dtype)
        down, up = self.only.layers[self.name]
        x = args[0] if self.index is None else args[0][self.index]
        added = (x @ down.to(x.dtype)) @ up.to(x.dtype) * self.only.scale
        return out + added if self.index is None else out.index_add(0, self.index.to(out.device), added)
