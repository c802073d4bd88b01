"""``mlflow run . -e base``: make the bundled base model from public dialogues, stories and generated exercises."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from steps.edge import main
from steps.job import run_job
from train.config import BaseConfig

if TYPE_CHECKING:
    from registry.runs import Run


def base(argv: list[str]) -> None:
    """Train the base model, resumable at every evaluation, and write it with its card to ``output``."""
    run_job("base", BaseConfig, _make, argv)


def _make(config: BaseConfig, run: "Run") -> Iterator[str]:
    from train.make_base import make_base

    return make_base(config, run)


if __name__ == "__main__":
    main(base)
