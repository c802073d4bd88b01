"""``mlflow run . -e cancel``: cancel the job of a run at an API."""

from dataclasses import dataclass

from data.errors import UserError
from steps.cli import OUTPUTS, main
from steps.flags import parse
from steps.ui import discard_own_run


@dataclass(frozen=True)
class CancelConfig:
    """Cancels a fine-tuning job that a run has started; what it has cost so far is not given back."""

    run_id: str = ""
    """Run whose job is cancelled."""


def cancel(argv: list[str]) -> None:
    """Cancel it, and print its status then.

    Raises:
        UserError: there is no such job, or it has ended already.
    """
    config = parse(CancelConfig, argv)
    from openai_jobs import jobs

    discard_own_run()
    with jobs.job_of_run(config.run_id, OUTPUTS) as (_, client, job_id):
        job = jobs.retrieve(client, job_id)
        if job.status == "cancelled":
            print(f"{job_id} was cancelled before")
            return
        if job.status in jobs.ENDED:
            raise UserError(f"{job_id} can't be cancelled: it has {job.status} already")
        print(f"{job_id} {jobs.cancel(client, job_id).status}")


if __name__ == "__main__":
    main(cancel)
