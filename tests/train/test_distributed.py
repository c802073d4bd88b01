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

from train import distributed

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
            _, errors = two.communicate(timeout=180)
        except BaseException:
            os.killpg(two.pid, signal.SIGKILL)
            raise
    assert two.returncode == 0, errors
    return lambda world, name, rank=0: load_file(folders[world] / f"{name}-{rank}.safetensors")


def largest_difference(one, other):
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_two_processes_end_with_the_weights_of_one(weights):
    assert largest_difference(weights(1, "plain"), weights(2, "plain")) <= 1e-6


def test_both_processes_hold_the_same_weights(weights):
    assert largest_difference(weights(2, "plain", 0), weights(2, "plain", 1)) == 0


def test_a_process_that_comes_late_finds_no_resume_point_that_the_first_has_just_written(weights):
    assert largest_difference(weights(2, "plain"), weights(2, "late")) == 0


def test_one_process_resumes_exactly_with_dropout(weights):
    assert largest_difference(weights(1, "straight"), weights(1, "resumed")) == 0


def test_two_processes_resume_exactly_with_dropout(weights):
    assert largest_difference(weights(2, "straight"), weights(2, "resumed")) == 0


def test_alone_there_is_nobody_to_wait_for_or_to_add_up_with():
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    distributed.wait()
    distributed.sum_gradients([parameter])
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert parameter.grad.tolist() == [1.0, 2.0]
    assert distributed.sum_value(2.5, torch.device("cpu")) == 2.5
    assert distributed.share("x") == "x" and distributed.first_alone(lambda: 3) == 3
    distributed.leave()


def test_join_alone_meets_nobody(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert distributed.join() == 0 and not torch.distributed.is_initialized()
