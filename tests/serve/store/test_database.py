"""The same server on PostgreSQL, where there is one to start; and what is refused as a database."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from data.errors import UserError
from serve.store.database import Database
from tests.processes import free_port, wait_until
from tests.serve.served import ended, training_lines, upload

PROGRAMS = Path("/usr/lib/postgresql")  # where Debian puts them, by version


def find_programs() -> Path | None:
    """Folder of PostgreSQL's own programs."""
    found = [*sorted(PROGRAMS.glob("*/bin/initdb")), *map(Path, filter(None, [shutil.which("initdb")]))]
    return found[0].resolve().parent if found else None


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL of the tests' own. It refuses to be run by root, who becomes another user for it."""
    programs = find_programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL (initdb) on this machine")
    folder, port = Path(tempfile.mkdtemp(prefix="parley-postgres-")), free_port()
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    made = [programs / "initdb", "-D", folder / "data", "-U", "parley", "--auth=trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, user=user, cwd=folder, check=True, capture_output=True, timeout=120)
    run = [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
    process = subprocess.Popen(run, user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "PostgreSQL", pause_s=0.1)
        yield f"postgresql://parley@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # it waits for nobody
        process.wait(300)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def served_by_postgres(serve, postgres):
    server = serve(database=postgres, checkpoints=1)
    yield server
    server.kill()


def test_files_come_back_byte_for_byte_from_postgresql(served_by_postgres):
    client, content = served_by_postgres.client(), bytes(range(256)) * 10_000
    file_id = upload(client, content, "snow \N{SNOWMAN}.bin", "user_data")
    assert client.files.content(file_id).content == content
    assert client.files.list(purpose="user_data").data[0].filename == "snow \N{SNOWMAN}.bin"
    assert client.files.delete(file_id).deleted


def test_a_job_in_postgresql_outlives_its_server_and_is_one_job(served_by_postgres):
    client, once = served_by_postgres.client(), {"Idempotency-Key": "job"}
    asked = {"model": "gpt-4o-mini", "training_file": upload(client, training_lines()), "metadata": {"a": "b"},
             "hyperparameters": {"n_epochs": 4}, "extra_headers": once}  # fmt: skip
    jobs = client.fine_tuning.jobs
    job = jobs.create(**asked)
    wait_until(lambda: jobs.retrieve(job.id).status == "running", "the start of the job")
    served_by_postgres.kill()
    served_by_postgres.start()
    assert jobs.create(**asked).id == job.id
    assert [each.id for each in jobs.list(metadata={"a": "b"})] == [job.id]
    done = ended(client, job.id)
    assert done.status == "succeeded", done.error
    steps = [each.data["step"] for each in jobs.list_events(job.id, limit=3) if each.data]
    assert steps == list(range(8, 0, -1))
    assert jobs.checkpoints.list(job.id).data[0].fine_tuned_model_checkpoint == done.fine_tuned_model


def test_a_second_server_on_one_postgresql_is_refused(served_by_postgres, launcher, tmp_path):
    argv = [f"--database={served_by_postgres.database}", "--port=0"]
    env = {**served_by_postgres.env, "PARLEY_OUTPUTS": str(tmp_path)}
    step = launcher.start("steps.serve", argv, env, tmp_path)
    assert step.wait() == 1
    assert "another server runs the jobs" in step.stderr


def test_a_postgresql_that_is_away_is_named_without_its_password():
    with pytest.raises(UserError, match="127.0.0.1") as refusal:
        Database(f"postgresql://parley:secret@127.0.0.1:{free_port()}/parley")
    assert "secret" not in str(refusal.value)


def test_a_malformed_url_is_refused_without_its_password():
    for url in ("postgresql://parley:secret@127.0.0.1:port/parley", "sqlite:"):
        with pytest.raises(UserError, match="the URL is malformed") as refusal:
            Database(url)
        assert "secret" not in str(refusal.value)


def test_a_database_of_another_version_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'serve.db'}"
    Database(url).close()
    with create_engine(url).begin() as connection:
        connection.execute(text("update facts set value = '0' where name = 'version'"))
    with pytest.raises(UserError, match="has version 0"):
        Database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "serve.db").write_text("no database at all, but a text that is long enough to be looked at\n" * 9)
    with pytest.raises(UserError, match="can't be opened"):
        Database(f"sqlite:///{tmp_path / 'serve.db'}")
