"""``mlflow run . -e monitor``: follow the job of a run at an API, from any machine, with its curves in the run."""

from dataclasses import dataclass

from steps.cli import OUTPUTS, Stopped, main
from steps.flags import parse
from steps.ui import discard_own_run


@dataclass(frozen=True)
class MonitorConfig:
    """Follows a fine-tuning job that a run has started; stopping this stops nothing else."""

    run_id: str = ""
    """Run whose job is followed."""


def monitor(argv: list[str]) -> None:
    """Print events and progress until the job has ended.

    Raises:
        UserError: there is no such job, or it failed; the message says why.
    """
    config = parse(MonitorConfig, argv)
    from openai_jobs.jobs import job_of_run
    from openai_jobs.monitor import watch

    discard_own_run()
    with job_of_run(config.run_id, OUTPUTS) as (run, client, job_id):
        try:
            for line in watch(run, client, job_id):
                print(line, flush=True)
        except Stopped:
            print(f"\n{job_id} goes on; watch it again: mlflow run . -e monitor -P run_id={config.run_id}")
            raise


if __name__ == "__main__":
    main(monitor)
