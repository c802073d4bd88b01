"""``mlflow run . -e noisy``: teach with labels made wrong on purpose, and measure what that did."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.noisy_labels.config import NoisyConfig
from steps.cli import main
from steps.tracked_run import run_job

if TYPE_CHECKING:
    from registry.runs import Run


def noisy(argv: list[str]) -> None:
    """Run the whole job; whatever ends it early leaves the run FAILED or KILLED and nothing registered."""
    run_job("noisy", NoisyConfig, _teach, argv)


def _teach(config: NoisyConfig, run: "Run") -> Iterator[str]:
    from recipes.noisy_labels.run import noisy as teach

    return teach(config, run)


if __name__ == "__main__":
    main(noisy)
