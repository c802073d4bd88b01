"""Resume points: what an interrupted run needs to go on exactly, kept in one folder and replaced atomically."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from data.atomic_write import atomic_write
from data.errors import UserError

POINTER = "latest.json"


@dataclass
class Progress:
    """A run's position and results. ``history`` holds ``(step, eval loss)`` of every evaluation, step 0 included.

    ``rejected``: the steps among them whose weights must not be chosen.
    """

    step: int = 0
    trained_tokens: int = 0
    history: list[tuple[int, float]] = field(default_factory=list)
    finished: bool = False
    rejected: list[int] = field(default_factory=list)

    @property
    def eligible(self) -> list[tuple[int, float]]:
        """The points of ``history`` whose weights may be chosen."""
        return [point for point in self.history if point[0] not in self.rejected]

    @property
    def best_step(self) -> int:
        """Of the steps that may be chosen, that of the lowest eval loss, the earliest if several share it."""
        return min(self.eligible, key=lambda point: (point[1], point[0]))[0] if self.eligible else self.step


SavedState = tuple[Progress, dict[str, Tensor], dict[str, Tensor]]


class StateFolder:
    """Resume points of one run under ``folder``: weights by step, the optimizer of the last step, and a pointer.

    Everything is written under a new name first; the pointer is replaced last and in one move. A process killed at
    any moment leaves the point before. Of the weights, the best and the last are kept, or with ``keep_all`` those of
    every evaluation after the first step.
    """

    def __init__(self, folder: Path, keep_all: bool = False) -> None:
        self.folder = folder
        self.keep_all = keep_all

    def weights_file(self, step: int) -> Path:
        """File of the trainable weights after ``step`` optimizer steps."""
        return self.folder / f"weights-{step}.safetensors"

    def save(self, progress: Progress, weights: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Write a resume point; the one before is removed after it.

        Raises:
            UserError: the disk is full or can't be written; the point before stays valid.
        """
        try:
            self._save(progress, weights, optimizer)
        except (OSError, SafetensorError) as error:  # safetensors has its own name for a full disk
            raise UserError(
                f"step {progress.step} can't be kept in {self.folder} ({error}); "
                "make room there, then resume: the point before is whole"
            ) from error

    def _save(self, progress: Progress, weights: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        step = progress.step
        _write(weights, self.weights_file(step))
        _write(optimizer, self.folder / f"optimizer-{step}.safetensors")
        with atomic_write(self.folder / POINTER) as file:
            file.write_text(json.dumps(asdict(progress), indent=1))
        self._prune(self.wanted(progress), newest=step)

    def load(self) -> SavedState | None:
        """The last point's progress, weights and optimizer state, or None where there is none."""
        if not (self.folder / POINTER).is_file():
            return None
        raw = json.loads((self.folder / POINTER).read_text())
        raw["history"] = [tuple(point) for point in raw["history"]]
        progress = Progress(**raw)
        optimizer = load_file(self.folder / f"optimizer-{progress.step}.safetensors")
        return progress, load_file(self.weights_file(progress.step)), optimizer

    def wanted(self, progress: Progress) -> set[int]:
        """Steps whose weights are kept: the best and the last, or with ``keep_all`` every one but step 0."""
        every = {step for step, _ in progress.history if step} if self.keep_all else set()
        return every | {progress.best_step, progress.step}

    def kept(self, progress: Progress) -> tuple[int, ...]:
        """Steps whose weights are kept and have a file, ascending."""
        return tuple(step for step in sorted(self.wanted(progress)) if self.weights_file(step).is_file())

    def _prune(self, kept: set[int], newest: int) -> None:
        for path in self.folder.glob("*.safetensors"):
            kind, _, step = path.stem.partition("-")
            if int(step) not in kept or (kind == "optimizer" and int(step) != newest):
                path.unlink()


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    with atomic_write(path) as file:
        save_file({name: t.detach().contiguous() for name, t in tensors.items()}, file)
