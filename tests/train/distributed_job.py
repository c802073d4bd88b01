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
from train.encoding import IGNORE, Example, Pair, Rated
from train.losses import LOSSES
from train.resume import POINTER, SavedState, StateFolder

#: Losses of preferences that are trained too.
PREFERENCES = ("dpo", "ipo", "orpo", "kto")


class Tracker:
    """Keeps every loss; ends the run as a signal would at its evaluation number ``killed_at``."""

    def __init__(self, killed_at: int = 0):
        self.left = killed_at
        self.losses: list[float] = []

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.losses += [value for name, value in metrics.items() if name.endswith("/loss")]
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


def preferences(n: int, seed: int, needs: str) -> list[Any]:
    """Pairs, or rated answers: the first answers are all as long, and each is surer under the reference (KTO).

    What these losses take over the rows of a pass is then the same however rows are divided.
    """
    made: list[Any] = []
    for i, row in enumerate(rows(n, seed)):
        other = Example(np.append(row.input_ids[:4], 7 + i).astype(np.int32), np.append(row.labels[:4], 7 + i))
        answer = Example(row.input_ids[:6], row.labels[:6])
        made.append(
            Pair(answer, other, (0.0, 0.0)) if needs == "pairs" else Rated(answer, other, i % 2 == 0, (0.0, 0.0))
        )
    return made


def train(
    state: StateFolder, killed_at: int = 0, dropout: float = 0.0, loss: str = "cross_entropy", **options: Any
) -> dict[str, torch.Tensor]:
    """The weights and the losses of two epochs on 9 rows: the last step has one row, so that one process has none."""
    torch.manual_seed(0)
    drops = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    shape: dict[str, Any] = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, **drops}
    settings: dict[str, Any] = {"epochs": 2, "batch_size": 2, "accumulation": 2, "lr": 1e-2, "precision": "fp32"}
    config = TuneConfig(method="full", restore="last", **settings)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=61, **shape)).double()
    model.unused = torch.nn.Linear(2, 2).double()  # as a part for images is while only text is trained
    model = trainable.make_trainable(model, config)
    tracker = Tracker(killed_at)
    needs = LOSSES[loss].needs
    learned, checks = [
        rows(n, seed) if needs == "rows" else preferences(n, seed, needs) for n, seed in ((9, 0), (3, 1))
    ]
    loop.fit(model, learned, checks, config, state, tracker, LOSSES[loss], **options)
    losses = torch.tensor(tracker.losses, dtype=torch.float64)
    return {"losses": losses, **{name: p.detach().clone() for name, p in model.named_parameters()}}


def interrupted(
    folder: Path, before: bool, after: bool, dropout: float = 0.1, **options: Any
) -> dict[str, torch.Tensor]:
    """The weights of a run that is killed at its third evaluation and resumed, each with FSDP or not."""
    try:
        train(StateFolder(folder), killed_at=3, dropout=dropout, fsdp=before, **options)
    except KeyboardInterrupt:
        return train(StateFolder(folder), dropout=dropout, fsdp=after, **options)
    raise AssertionError("it was not killed")


def main(folder: Path) -> None:
    """Train plainly, with a late process, with FSDP, and (dropout on) straight through and interrupted."""
    torch.set_num_threads(1)
    rank = distributed.join()
    results = {
        "plain": train(StateFolder(folder / "plain")),
        "late": train(LateState(folder / "late")),
        "fsdp": train(StateFolder(folder / "fsdp"), fsdp=True),
        "straight": train(StateFolder(folder / "straight"), dropout=0.1),
        "resumed": interrupted(folder / "killed", False, False),
        "fsdp_straight": train(StateFolder(folder / "fsdp_straight"), dropout=0.1, fsdp=True),
        "fsdp_resumed": interrupted(folder / "fsdp_killed", True, True),
        "ddp_to_fsdp": interrupted(folder / "ddp_to_fsdp", False, True),
    }
    for loss in PREFERENCES:
        results[loss] = train(StateFolder(folder / loss), loss=loss)
        results[f"{loss}_resumed"] = interrupted(folder / f"{loss}_killed", False, False, dropout=0.0, loss=loss)
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
