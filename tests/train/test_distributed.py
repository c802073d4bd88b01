"""Two processes on the CPU, started as ``torchrun`` starts them, train the very model that one process trains."""

import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from data.errors import ConfigError
from train import distributed
from train.base_model import pick_device

JOB = Path(__file__).with_name("distributed_job.py")
ROOT = Path(__file__).resolve().parents[2]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """``weights(world, name, rank)``: what a process of so many ended with."""
    folders = {world: tmp_path_factory.mktemp(f"world{world}") for world in (1, 2)}
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", str(JOB), str(folders[2]), str(free_port())]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as two:
        try:
            runpy.run_path(str(JOB))["main"](folders[1])
            _, errors = two.communicate(timeout=400)
        except BaseException:
            os.killpg(two.pid, signal.SIGKILL)
            raise
    assert two.returncode == 0, errors
    return lambda world, name, rank=0: load_file(folders[world] / f"{name}-{rank}.safetensors")


def largest_difference(one, other):
    names = one.keys() - {"losses"}
    assert one.keys() == other.keys() and len(names) > 20
    return max((one[name] - other[name]).abs().max().item() for name in names)


@pytest.mark.parametrize("kind", ["plain", "fsdp"])
def test_two_processes_end_with_the_weights_of_one(weights, kind):
    assert largest_difference(weights(1, "plain"), weights(2, kind)) <= 1e-6


@pytest.mark.parametrize("kind", ["plain", "fsdp"])
def test_two_processes_have_the_loss_curve_of_one(weights, kind):
    alone, together = (weights(world, kind)["losses"] for world in (1, 2))
    assert len(alone) == 3 + 6  # evaluations and steps
    assert torch.allclose(alone, together, rtol=1e-6, atol=0)


@pytest.mark.parametrize("loss", ["dpo", "ipo", "orpo", "kto"])
def test_two_processes_train_on_preferences_as_one_does_and_go_on_exactly_where_they_were_killed(weights, loss):
    alone, together = (weights(world, loss) for world in (1, 2))
    assert largest_difference(alone, together) <= 1e-6
    assert torch.allclose(alone["losses"], together["losses"], rtol=1e-6, atol=0)
    assert largest_difference(alone, weights(1, "plain")) > 1e-3
    assert largest_difference(together, weights(2, loss, 1)) == 0
    assert [largest_difference(weights(n, loss), weights(n, f"{loss}_resumed")) for n in (1, 2)] == [0, 0]


@pytest.mark.parametrize("kind", ["plain", "fsdp"])
def test_both_processes_hold_the_same_weights(weights, kind):
    assert largest_difference(weights(2, kind, 0), weights(2, kind, 1)) == 0


def test_a_process_that_comes_late_finds_no_resume_point_that_the_first_has_just_written(weights):
    assert largest_difference(weights(2, "plain"), weights(2, "late")) == 0


def test_one_process_resumes_exactly_with_dropout(weights):
    assert largest_difference(weights(1, "straight"), weights(1, "resumed")) == 0


@pytest.mark.parametrize("kind", ["", "fsdp_"])
def test_two_processes_resume_exactly_with_dropout(weights, kind):
    assert largest_difference(weights(2, f"{kind}straight"), weights(2, f"{kind}resumed")) == 0


def test_fsdp_goes_on_from_a_resume_point_of_ddp(weights):
    assert largest_difference(weights(2, "straight"), weights(2, "ddp_to_fsdp")) <= 1e-6


def test_alone_there_is_nobody_to_wait_for_or_to_add_up_with():
    distributed.wait()
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert distributed.mean_value(2.5, torch.device("cpu")) == 2.5
    assert distributed.share("x") == "x" and distributed.first_alone(lambda: 3) == 3
    model, tensors = torch.nn.Linear(2, 2), {"x": torch.ones(2)}
    assert distributed.wrap(model, fsdp=True) is model and distributed.gather(tensors) == tensors
    distributed.leave()


@pytest.mark.parametrize(("wanted", "expected"), [("auto", False), ("ddp", "torchrun"), ("fsdp", "torchrun")])
def test_one_process_has_nothing_to_divide(wanted, expected):
    if expected is False:
        assert distributed.uses_fsdp(wanted, "full") is False
    else:
        with pytest.raises(ConfigError, match=expected):
            distributed.uses_fsdp(wanted, "full")


@pytest.mark.parametrize(
    ("wanted", "method", "env", "expected"),
    [
        ("auto", "lora", {}, False),
        ("ddp", "full", {}, False),
        ("fsdp", "full", {}, True),
        ("auto", "full", {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, True),
        ("auto", "full", {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "fsdp_version"),
        ("ddp", "full", {"ACCELERATE_USE_FSDP": "true"}, "contradicts"),
        ("fsdp", "lora", {}, "method=full"),
        ("auto", "lora", {"ACCELERATE_USE_FSDP": "true"}, "method=full"),
        ("auto", "full", {"ACCELERATE_MIXED_PRECISION": "bf16"}, "precision=bf16"),
        ("auto", "full", {"ACCELERATE_MIXED_PRECISION": "no"}, False),
        ("auto", "full", {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"}, "accumulation"),
        ("auto", "full", {"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed"),
        ("auto", "full", {"ACCELERATE_USE_FSDP": "true", "FSDP_OFFLOAD_PARAMS": "true"}, "offloading"),
    ],
)
def test_what_accelerate_launch_was_given_is_used_or_refused_by_name(monkeypatch, wanted, method, env, expected):
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    if isinstance(expected, bool):
        assert distributed.uses_fsdp(wanted, method) is expected
    else:
        with pytest.raises(ConfigError, match=expected):
            distributed.uses_fsdp(wanted, method)


@pytest.mark.parametrize(("env", "device"), [({}, "cuda"), ({"ACCELERATE_USE_CPU": "true"}, "cpu")])
def test_accelerate_launch_with_cpu_leaves_the_gpu_alone(monkeypatch, env, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert pick_device() == device


def test_join_alone_meets_nobody(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.join() == 0 and not torch.distributed.is_initialized()
