"""``mlflow run . -e pirate``: fine-tune a base model on pairs, evaluate it before and after, register it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.sft.config import TuneConfig
from steps.cli import main
from steps.tracked_run import run_job

if TYPE_CHECKING:
    from registry.runs import Run


def pirate(argv: list[str]) -> None:
    """Run the whole job; an error or a signal leaves the run FAILED or KILLED and nothing registered."""
    run_job("pirate", TuneConfig, _tune, argv)


def _tune(config: TuneConfig, run: "Run") -> Iterator[str]:
    if config.seeds:
        from recipes.sft.seeds import tune_seeds

        return tune_seeds(config, run)
    from recipes.sft.run import tune

    return tune(config, run)


if __name__ == "__main__":
    main(pirate)
