"""Weights & Biases: the result file and the metadata of a finished job become an offline run of theirs."""

import json
import os
import tempfile
import time

from openai import OpenAI

from benchmarks.client_checks.checks import MODEL, capability, run_all

os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": tempfile.mkdtemp()}
client = OpenAI()


def finished_job() -> str:
    """The id of a job with files to train and to validate on."""
    line = json.dumps(
        {"messages": [{"role": "user", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}]}
    )
    rows = "\n".join([line] * 10).encode()
    train, valid = (client.files.create(file=(f"{n}.jsonl", rows), purpose="fine-tune").id for n in ("train", "valid"))
    made = client.fine_tuning.jobs.create(
        model=MODEL, training_file=train, validation_file=valid, hyperparameters={"n_epochs": 1, "batch_size": 5}
    )
    until = time.monotonic() + 240
    while client.fine_tuning.jobs.retrieve(made.id).status not in ("succeeded", "failed"):
        assert time.monotonic() < until, "it has not ended"
        time.sleep(0.5)
    return made.id


@capability("WandbLogger.sync of a job, offline: result file, metadata")
def sync() -> None:
    import wandb
    from wandb.integration.openai.fine_tuning import WandbLogger

    logged: list[dict[str, float]] = []
    log = wandb.Run.log

    def kept(run: wandb.Run, data: dict[str, float], **given: int) -> None:
        logged.append(data)
        log(run, data, **given)

    wandb.Run.log = kept  # the metrics that it reads from the result file
    WandbLogger._logged_in = True  # offline there is no account, and data sets can't be logged
    message = WandbLogger.sync(fine_tune_job_id=finished_job(), openai_client=client, log_datasets=False)
    assert message and len(logged) == 2 and all("train_loss" in each for each in logged), (message, logged)


run_all()
