"""``mlflow run . -e dpo``: train a model on preferences, evaluate it before and after, register it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recipes.dpo.config import DpoConfig
from steps.cli import main
from steps.tracked_run import run_job

if TYPE_CHECKING:
    from registry.runs import Run


def dpo(argv: list[str]) -> None:
    """Run the whole job; an error or a signal leaves the run FAILED or KILLED and nothing registered."""
    run_job("dpo", DpoConfig, _tune, argv)


def _tune(config: DpoConfig, run: "Run") -> Iterator[str]:
    if config.is_remote:
        from recipes.dpo.remote import tune as tune_remote

        return tune_remote(config, run)
    from recipes.dpo.run import PREFERENCES
    from recipes.sft.run import tune
    from recipes.sft.seeds import tune_seeds

    return tune_seeds(config, run, PREFERENCES) if config.seeds else tune(config, run, recipe=PREFERENCES)


if __name__ == "__main__":
    main(dpo)
