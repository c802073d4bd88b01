"""``mlflow run . -e cancel``: cancel the job of a run at an API."""

from dataclasses import dataclass

from data.errors import UserError
from openai_jobs.following import attached
from steps.cli import main
from steps.flags import parse
from steps.ui import discard_own_run


@dataclass(frozen=True)
class CancelConfig:
    """Cancels a fine-tuning job that a run has started; what it has cost so far is not given back."""

    run_id: str = ""
    """Run whose job is cancelled."""


def cancel(argv: list[str]) -> None:
    """Cancel it, and say how it stands then.

    Raises:
        UserError: there is no such job, or it has ended already.
    """
    config = parse(CancelConfig, argv)
    discard_own_run()
    with attached(config.run_id) as (_, desk, job_id):
        from openai_jobs import jobs
        from openai_jobs.event_metrics import ENDED

        job = jobs.retrieve(desk, job_id)
        if job.status == "cancelled":
            print(f"{job_id} was cancelled before")
            return
        if job.status in ENDED:
            raise UserError(f"{job_id} can't be cancelled: it has {job.status} already")
        print(f"{job_id} {jobs.cancel(desk, job_id).status}")


if __name__ == "__main__":
    main(cancel)
