"""Training in several processes, started by ``torchrun`` or ``accelerate launch``, through Accelerate: DDP or FSDP."""

import copy
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from data.errors import require

#: Settings of ``accelerate launch`` that must keep their value, and what to do instead of changing them.
ACCELERATE = {
    "ACCELERATE_MIXED_PRECISION": ("no", "set mixed_precision to no, and precision=bf16 as a flag of the step"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1", "set accumulation as a flag of the step instead"),
    "ACCELERATE_USE_DEEPSPEED": ("false", "DeepSpeed is not supported; use_fsdp is"),
    "ACCELERATE_USE_MEGATRON_LM": ("false", "Megatron-LM is not supported; use_fsdp is"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("false", "activation checkpointing is not supported; leave it out"),
    "FSDP_OFFLOAD_PARAMS": ("false", "offloading parameters is not supported; leave it out"),
}
#: How long a process waits for the others, which may be evaluating.
TIMEOUT = timedelta(hours=12)


def join() -> int:
    """Join the process group, if ``WORLD_SIZE`` is above 1; returns this process's rank (0 without a group)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        from accelerate import PartialState

        PartialState(cpu=on_cpu(), timeout=TIMEOUT)
    return rank()


def on_cpu() -> bool:
    """Whether models are on the CPU: there is no GPU, or ``accelerate launch --cpu`` was used."""
    return not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "false").lower() == "true"


def rank() -> int:
    """This process's rank, 0 without a process group."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def leave() -> None:
    """Leave the process group, if there is one."""
    if dist.is_initialized():
        dist.destroy_process_group()


def wait() -> None:
    """Wait until every process has called this (a barrier)."""
    if dist.is_initialized():
        dist.barrier()


def mean_value(value: float, device: torch.device) -> float:
    """The mean of ``value`` over all processes."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total) / world_size()


def share(value: Any) -> Any:
    """Broadcast rank 0's ``value``; returns it in every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def first_alone(work: Callable[[], Any]) -> Any:
    """The result of ``work()``, which rank 0 runs first and the others after it, so that they find its files."""
    if rank() == 0:
        result = work()
        wait()
        return result
    wait()
    return work()


def uses_fsdp(wanted: str, method: str) -> bool:
    """Whether FSDP divides the model's weights among the processes, where DDP divides only the rows.

    Args:
        wanted: ``ddp``, ``fsdp``, or ``auto``: FSDP where ``accelerate launch`` was given ``--use_fsdp``, else DDP.
        method: ``full`` or ``lora``.

    Raises:
        ConfigError: there is one process, the method is not ``full``, or ``accelerate launch`` was given a setting
            that is not supported or contradicts ``wanted``.
    """
    if world_size() == 1:
        require(wanted == "auto", f"distributed={wanted} needs several processes: start the step with torchrun")
        return False
    launched = {name: os.environ.get(name, default).lower() for name, (default, _) in ACCELERATE.items()}
    refused = [help for name, (default, help) in ACCELERATE.items() if launched[name] != default]
    require(not refused, f"accelerate launch: {'; '.join(refused)}")
    configured = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    require(not configured or wanted != "ddp", "distributed=ddp contradicts accelerate launch --use_fsdp; drop one")
    if not configured and wanted != "fsdp":
        return False
    require(
        method == "full", "FSDP divides trained weights, and an adapter has few: set method=full or distributed=ddp"
    )
    require(os.environ.get("FSDP_VERSION", "2") == "2", "accelerate launch: set fsdp_version to 2")
    return True


def wrap(model: nn.Module, fsdp: bool) -> nn.Module:
    """The module whose passes the processes compute together; every process must call it equally often.

    In one process that is ``model``. With DDP it is a wrapper around ``model``, whose gradients are means over the
    processes. With FSDP it is a copy of ``model`` whose weights are shards (``DTensor``), and ``model`` moves to the
    CPU: it keeps its weights of now.
    """
    if world_size() == 1:
        return model
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs

    # static: every pass uses the same weights, so those that none uses are found once
    ddp = DistributedDataParallelKwargs(static_graph=True, broadcast_buffers=False)
    accelerator = Accelerator(cpu=on_cpu(), mixed_precision="no", kwargs_handlers=[ddp])
    return _sharded(accelerator, model) if fsdp else accelerator.prepare_model(model)


def _sharded(accelerator: Any, model: nn.Module) -> nn.Module:
    """A copy of ``model`` with FSDP's shards as its weights, as ``accelerate launch`` was configured."""
    from accelerate.utils import FullyShardedDataParallelPlugin, fsdp2_prepare_model

    policy = None if "FSDP_AUTO_WRAP_POLICY" in os.environ else "transformer_based_wrap"
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy=policy)
    accelerator.state.fsdp_plugin = plugin  # Accelerate itself sets none on CPUs, where PyTorch's FSDP works as well
    tensors = [*model.parameters(), *model.buffers()]
    sharded = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    sharded = fsdp2_prepare_model(accelerator, sharded)
    model.to("cpu")
    return sharded


def unwrap(model: Any) -> Any:
    """The model inside DDP's wrapper, or ``model`` itself."""
    return model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model


def accumulating(model: nn.Module) -> AbstractContextManager[None]:
    """A context for the passes before a step's last one, after which gradients need not be exchanged yet."""
    return model.no_sync() if isinstance(model, nn.parallel.DistributedDataParallel) else nullcontext()


def full(tensor: Tensor) -> Tensor:
    """``tensor``, put together where it is divided by FSDP; every process must call it then."""
    if world_size() == 1:
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors``, in rank 0 put together on the CPU where FSDP has divided them; every process must call it."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = full(tensor)  # one at a time: all of them need not fit beside the shards
        if rank() == 0:
            found[name] = whole if whole is tensor else whole.cpu()
    return found


def placed_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """``tensor``, which every process has in full, on the device of ``parameter`` and divided as that is."""
    tensor = tensor.to(parameter.device)
    if world_size() == 1:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(parameter, DTensor):
        return tensor
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements, src_data_rank=None)
