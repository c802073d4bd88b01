"""The tables of the database. A key sees the rows of its project; without projects all are in the default one.

``number`` ascends and gives lists their order; ``id`` is the id in the API. Times are Unix seconds.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

#: Incremented when a table changes. A database of an earlier version is migrated, one of a later version refused.
VERSION = "2"

#: Statuses of a job that waits or runs, and of one that has ended; there is ``paused`` besides.
ACTIVE = ("validating_files", "queued", "running")
FINISHED = ("succeeded", "failed", "cancelled")
#: Statuses of a batch that has ended, and of one that has not.
BATCH_FINISHED = ("completed", "failed", "expired", "cancelled")
BATCH_OPEN = ("validating", "in_progress", "finalizing", "cancelling")

schema = MetaData()


def _number() -> Column[int]:
    return Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _id() -> Column[str]:
    return Column("id", String(64), unique=True, nullable=False)


def _project() -> Column[str]:
    return Column("project", String(64), nullable=False, server_default="default")


facts = Table("facts", schema, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False))

keys = Table(
    "keys",
    schema,
    _number(),
    Column("name", String(128), unique=True, nullable=False),
    Column("digest", String(64), unique=True, nullable=False),  # SHA-256 of the key, in hex
    Column("created_at", BigInteger, nullable=False),
    _project(),
)

files = Table(
    "files",
    schema,
    _number(),
    _id(),
    Column("purpose", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),  # lines that are not blank
    Column("kind", String(16), nullable=False),  # of a training file: supervised or dpo
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    _project(),
)

#: A file's content in parts, written before the file's row: an incomplete file is never listed.
parts = Table(
    "parts",
    schema,
    Column("file_id", String(64), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

jobs = Table(
    "jobs",
    schema,
    _number(),
    _id(),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("estimated_finish", BigInteger),
    Column("model", String(256), nullable=False),
    Column("base", Text, nullable=False),
    Column("suffix", String(64)),
    Column("seed", BigInteger, nullable=False),
    Column("method", String(16), nullable=False),
    Column("hyperparameters", JSON, nullable=False),  # resolved: no auto
    Column("training_file", String(64), nullable=False),
    Column("validation_file", String(64)),
    Column("integrations", JSON, nullable=False),
    Column("pairs", JSON, nullable=False),  # the metadata
    Column("status", String(16), nullable=False, index=True),
    Column("result", Text, nullable=False),  # id of the fine-tuned model
    Column("registered", Text, nullable=False),  # name of the registered model of its versions
    Column("trained_tokens", BigInteger),
    Column("result_file", String(64)),
    Column("error", JSON),
    Column("run_id", String(64)),
    Column("step", Integer, nullable=False),  # of the last resume point
    Column("crashes", Integer, nullable=False),  # of its training process, since the last resume point
    _project(),
)

pairs = Table(
    "pairs",
    schema,
    Column("job", BigInteger, ForeignKey("jobs.number"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
    Index("pairs_by_value", "name", "value"),
)

events = Table(
    "events",
    schema,
    _number(),
    _id(),
    Column("job_id", String(64), nullable=False, index=True),
    Column("mark", String(64), nullable=False),  # by which an event that a crash repeats is stored once
    Column("created_at", BigInteger, nullable=False),
    Column("level", String(8), nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON),
    UniqueConstraint("job_id", "mark"),
)

checkpoints = Table(
    "checkpoints",
    schema,
    _number(),
    _id(),
    Column("job_id", String(64), nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("metrics", JSON, nullable=False),
    UniqueConstraint("job_id", "step"),
)

permissions = Table(
    "permissions",
    schema,
    _number(),
    _id(),
    Column("checkpoint", Text, nullable=False),  # the id of its model
    Column("project_id", String(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("checkpoint", "project_id"),
)

batches = Table(
    "batches",
    schema,
    _number(),
    _id(),
    Column("input_file_id", String(64), nullable=False),
    Column("endpoint", String(64), nullable=False),
    Column("completion_window", String(16), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("total", Integer, nullable=False),
    Column("times", JSON, nullable=False),  # created_at, in_progress_at, ...
    Column("errors", JSON),
    Column("pairs", JSON),
    Column("output_file_id", String(64)),
    Column("error_file_id", String(64)),
    Column("output_expires_s", BigInteger),
    _project(),
)

#: The answered requests of a batch, as lines of its output file (good) and its error file.
answers = Table(
    "answers",
    schema,
    Column("batch_id", String(64), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("good", Integer, nullable=False),
    Column("record", JSON, nullable=False),
)

responses = Table(
    "responses",
    schema,
    _number(),
    _id(),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("object", JSON, nullable=False),
    Column("messages", JSON, nullable=False),  # [role, text] of the whole conversation, without instructions
    _project(),
)

#: Settings of projects that have any.
projects = Table(
    "projects",
    schema,
    Column("name", String(64), primary_key=True),
    Column("budget", JSON, nullable=False),  # limits a day, by what they limit
    Column("readable", JSON, nullable=False),  # names of registered models, or * for all
)

#: What projects that have a budget have used, by day.
usage = Table(
    "usage",
    schema,
    Column("project", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    schema,
    _number(),
    _id(),
    Column("created_at", BigInteger, nullable=False),
    _project(),
    Column("key", String(128), nullable=False),  # the name of the key
    Column("action", String(64), nullable=False),
    Column("object_id", Text, nullable=False),
)

#: Tables of version 1 that have got the column ``project``.
MIGRATED = (keys, files, jobs, batches, responses)

#: Idempotency keys, and the objects that the requests with them have created.
idempotency_keys = Table(
    "promises",
    schema,
    Column("route", String(32), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the request
    Column("object_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
