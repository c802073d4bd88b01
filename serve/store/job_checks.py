"""What must hold for a fine-tuning job to be created."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from data.formats.openai import LEAST_ROWS
from serve.errors import NO_RETRY, RequestError
from serve.store import files
from serve.store.database import Database
from serve.store.hyperparameters import resolve
from serve.store.tables import ACTIVE, jobs

BYTES_PER_TOKEN = 4


def estimated_tokens(database: Database, fields: Mapping[str, Any]) -> int:
    """About how many tokens the job reads that ``fields`` describe: those of its training file in each epoch."""
    with database.read() as connection:
        file = files.row_of(connection, fields["training_file"], "training_file")
    epochs = resolve(fields["hyperparameters"], file["rows"])["n_epochs"] if file["rows"] else 1
    return file["bytes"] // BYTES_PER_TOKEN * epochs


def unknown_base(model: str) -> RequestError:
    """The error for a model that is no base a job can start from."""
    why = "GET /v1/models lists bases and fine-tuned models; start the server with --models NAME=BASE to add a base"
    return RequestError(
        f"Model {model} is not available for fine-tuning: {why}", param="model", code="model_not_available"
    )


def require_files(connection: Connection, fields: Mapping[str, Any]) -> int:
    """Check that the job can use its files; returns how many rows the training file has.

    Raises:
        RequestError: a file is missing, was uploaded for another purpose or method, or has too few rows.
    """
    count = 0
    for param in ("training_file", "validation_file"):
        if fields[param] is None:
            continue
        row = files.row_of(connection, fields[param], param)
        if row["purpose"] != "fine-tune":
            raise RequestError(
                f"{param} {fields[param]} was uploaded with purpose {row['purpose']}; fine-tune is needed", param=param
            )
        if row["kind"] != fields["method"]:
            raise RequestError(f"{param} {fields[param]} holds no rows for the method {fields['method']}", param=param)
        if param == "training_file":
            count = row["rows"]
    if count < LEAST_ROWS:
        raise RequestError(
            f"{fields['training_file']} has {count} example(s), but must have at least {LEAST_ROWS} examples",
            param="training_file",
            code="invalid_n_examples",
        )
    return count


def require_room(connection: Connection, queue_length: int) -> None:
    """Check that fewer than ``queue_length`` jobs wait or run.

    Raises:
        RequestError: 429, with a header by which the SDK does not retry.
    """
    active = connection.execute(select(func.count()).select_from(jobs).where(jobs.c.status.in_(ACTIVE))).scalar() or 0
    if active >= queue_length:
        raise RequestError(
            f"{active} jobs wait or run already, and the queue holds {queue_length}; try again when one has ended",
            429,
            type="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "60", **NO_RETRY},
        )
