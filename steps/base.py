"""``mlflow run . -e base``: make the bundled base model from public dialogues, stories and generated exercises."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.pretraining.config import BaseConfig
from steps.cli import main
from steps.tracked_run import run_job

if TYPE_CHECKING:
    from registry.runs import Run


def base(argv: list[str]) -> None:
    """Train the base model, resumable at every evaluation, and write it with its card to ``output``."""
    run_job("base", BaseConfig, _make, argv)


def _make(config: BaseConfig, run: "Run") -> Iterator[str]:
    from recipes.pretraining.run import make_base

    return make_base(config, run)


if __name__ == "__main__":
    main(base)
