"""What each process of the parallel tests does: train tiny models together and save their weights.

``python distributed_job.py FOLDER PORT`` does it in two processes, which share the time that imports take.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

from recipes.sft.config import TuneConfig
from train import distributed, loop, trainable
from train.encoding import IGNORE, Example
from train.resume import POINTER, SavedState, StateFolder


class Tracker:
    """Keeps nothing; ends the run as a signal would at its evaluation number ``killed_at``."""

    def __init__(self, killed_at: int = 0):
        self.left = killed_at

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if "eval/loss" in metrics:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    def flush(self) -> None: ...


class LateState(StateFolder):
    """A folder that every process but the first looks into late: only when something is there, or nothing will be."""

    def load(self) -> SavedState | None:
        for _ in range(50 if distributed.rank() else 0):
            if (self.folder / POINTER).is_file():
                break
            time.sleep(0.01)
        return super().load()


def rows(n: int, seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        ids = rng.integers(1, 61, 6 + i % 5).astype(np.int32)
        made.append(Example(ids, np.where(np.arange(len(ids)) < 3, IGNORE, ids).astype(np.int32)))
    return made


def train(state: StateFolder, killed_at: int = 0, dropout: float = 0.0) -> dict[str, torch.Tensor]:
    """The weights after two epochs on 9 rows: the last step has one row, so that one process has none."""
    torch.manual_seed(0)
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, **drops}
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 4, "lr": 1e-2, "precision": "fp32", "restore": "last"}
    config = TuneConfig(method="full", **settings)
    model = trainable.make_trainable(GPT2LMHeadModel(GPT2Config(vocab_size=61, **shape)).double(), config)
    loop.fit(model, rows(9, 0), rows(3, 1), config, state, Tracker(killed_at))
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def main(folder: Path) -> None:
    """Train plainly, with a late process, and (dropout on) straight through and interrupted."""
    torch.set_num_threads(1)
    rank = distributed.join()
    results = {
        "plain": train(StateFolder(folder / "plain")),
        "late": train(LateState(folder / "late")),
        "straight": train(StateFolder(folder / "straight"), dropout=0.1),
    }
    try:
        train(StateFolder(folder / "killed"), killed_at=3, dropout=0.1)
    except KeyboardInterrupt:
        results["resumed"] = train(StateFolder(folder / "killed"), dropout=0.1)
    for name, weights in results.items():
        save_file(weights, folder / f"{name}-{rank}.safetensors")
    distributed.leave()


def start(rank: int, folder: Path, port: str) -> int:
    """Start process ``rank`` of two as a copy of this one, as ``torchrun`` would set it up, and return its id."""
    pid = os.fork()
    if pid:
        return pid
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    os.environ.update(where, RANK=str(rank), LOCAL_RANK=str(rank), CUDA_VISIBLE_DEVICES="")
    main(folder)
    os._exit(0)


if __name__ == "__main__":
    children = [start(rank, Path(sys.argv[1]), sys.argv[2]) for rank in range(2)]
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0 for pid in children))
