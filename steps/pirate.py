"""``mlflow run . -e pirate``: teach a base model from pairs, judge it before and after, register it."""

from steps.edge import OUTPUTS, Stopped, main
from steps.flags import parse
from steps.resuming import open_run
from train.config import TuneConfig


def pirate(argv: list[str]) -> None:
    """Run the whole job; whatever ends it early leaves the run FAILED or KILLED and nothing registered."""
    from train import parallel

    config = parse(TuneConfig, argv)
    parallel.join()
    run, config = open_run("pirate", config, OUTPUTS)
    try:
        from train.tune import tune

        for line in tune(config, run):
            print(line)
    except Stopped:
        run.finish("KILLED")
        print(f"\nStopped. To go on: mlflow run . -e pirate -P resume={run.run_id}")
        raise
    except BaseException as error:
        run.fail(error)
        raise
    run.finish()
    run.discard()
    parallel.leave()


if __name__ == "__main__":
    main(pirate)
