"""``mlflow run . -e autopsy``: three mistakes that gave perfect scores, replayed, with the guards that catch them."""

from steps.edge import OUTPUTS, main
from steps.flags import parse
from steps.job import carry_out
from train.config import AutopsyConfig


def autopsy(argv: list[str]) -> None:
    """Replay and print them; what the rows can't be used for leaves the run FAILED."""
    config = parse(AutopsyConfig, argv)
    from registry import runs
    from train.autopsy import autopsy as replay

    run = runs.start("autopsy", OUTPUTS)
    print(f"Run {run.run_id}")
    carry_out(lambda: replay(config, run), run, "mlflow run . -e autopsy")


if __name__ == "__main__":
    main(autopsy)
