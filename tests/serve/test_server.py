"""Starting and stopping: one server a database, a port that can be had, keys at the command line."""

import openai
import pytest

from data.errors import UserError
from serve.store.auth import drop_key, new_key
from serve.store.database import Database
from serve.store.files import get
from tests.serve.served import KEY, upload


@pytest.fixture
def run(served, launcher, tmp_path):
    """``run(flag, ...)`` starts a step of the server's in a folder of its own and returns it once it has ended."""

    def run(*argv, **env):
        step = launcher.start("steps.serve", argv, {**served.env, "PARLEY_OUTPUTS": str(tmp_path), **env}, tmp_path)
        step.wait()
        return step

    return run


def test_a_second_server_on_one_database_is_refused(served, run):
    step = run(f"--database={served.database}", "--port=0")
    assert step.code == 1
    assert "another server runs the jobs" in step.stderr and "Traceback" not in step.stderr


def test_a_port_that_is_taken_is_named(served, run):
    step = run(f"--port={served.port}")
    assert step.code == 1
    assert str(served.port) in step.stderr and "Traceback" not in step.stderr


def test_a_key_made_at_the_command_line_is_taken_by_the_running_server(served, run):
    made = run(f"--database={served.database}", "--new_key=alice")
    key = made.stdout.strip()
    assert made.code == 0 and key.startswith("sk-parley-")
    assert served.client(key).models.list().data


def test_names_of_keys_are_there_once(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    assert new_key(database, "alice") != new_key(database, "bob")
    with pytest.raises(UserError, match="called alice already"):
        new_key(database, "alice")
    drop_key(database, "bob")
    with pytest.raises(UserError, match="no key called bob"):
        drop_key(database, "bob")
    database.close()


def test_a_stopped_server_says_so_and_has_kept_everything(serve):
    server = serve()
    file_id = upload(server.client())
    assert server.stop() == 0
    assert "The server has stopped." in server.step.stdout
    assert "first key" not in server.step.stdout, "the owner's own key is enough"
    assert get(Database(server.database), file_id)["id"] == file_id


def test_the_first_start_shows_a_key_once(launcher, served, tmp_path):
    (tmp_path / "mlflow.db").write_bytes((served.folder / "mlflow.db").read_bytes())
    env = {**served.env, "PARLEY_SERVE_KEY": "", "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
           "PARLEY_OUTPUTS": str(tmp_path)}  # fmt: skip
    step = launcher.start("steps.serve", ["--port=0", f"--database=sqlite:///{tmp_path / 'serve.db'}"], env, tmp_path)
    step.wait_for(lambda: "Parley server: " in step.stdout, "its address was told")
    shown = next(line for line in step.stdout.splitlines() if "first key" in line)
    key = shown.rpartition(" ")[2]
    address = next(line for line in step.stdout.splitlines() if line.startswith("Parley server: ")).split()[-1]
    assert key.startswith("sk-parley-") and key != KEY
    assert openai.OpenAI(base_url=address, api_key=key).models.list().data
