"""Data-parallel training by ``torchrun`` or ``accelerate launch``: rows are divided, gradients summed."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist


def join() -> int:
    """Join the process group, if ``WORLD_SIZE`` is above 1; returns this process's rank (0 without a group)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if gpu else "gloo")
    return rank()


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


def sum_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace each gradient by its sum over all processes; one that a process did not compute counts as zero."""
    if world_size() == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)


def sum_value(value: float, device: torch.device) -> float:
    """The sum of ``value`` over all processes."""
    if world_size() == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total)


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
