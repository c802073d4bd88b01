"""``mlflow run . -e autopsy``: three mistakes that gave perfect scores, replayed, with the guards that catch them."""

from recipes.autopsy.config import AutopsyConfig
from steps.cli import OUTPUTS, main
from steps.flags import parse
from steps.tracked_run import carry_out


def autopsy(argv: list[str]) -> None:
    """Replay and print them; what the rows can't be used for leaves the run FAILED."""
    config = parse(AutopsyConfig, argv)
    from recipes.autopsy.run import autopsy as replay
    from registry import runs

    run = runs.start("autopsy", OUTPUTS)
    print(f"Run {run.run_id}")
    carry_out(lambda: replay(config, run), run, "mlflow run . -e autopsy")


if __name__ == "__main__":
    main(autopsy)
