"""``mlflow run . -e noisy``: train on labels corrupted on purpose, and measure the effect."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.noisy_labels.config import NoisyConfig
from steps.cli import main
from steps.tracked_run import run_job

if TYPE_CHECKING:
    from registry.runs import Run


def noisy(argv: list[str]) -> None:
    """Run the whole job; an error or a signal leaves the run FAILED or KILLED and nothing registered."""
    run_job("noisy", NoisyConfig, _train, argv)


def _train(config: NoisyConfig, run: "Run") -> Iterator[str]:
    from recipes.noisy_labels.run import noisy as train

    return train(config, run)


if __name__ == "__main__":
    main(noisy)
