"""Starting, stopping and being killed: one server a database, a port that can be had, keys at the command line."""

from contextlib import suppress

import numpy as np
import openai
import pytest
import tinker
from tinker import types

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


@pytest.fixture(scope="module")
def killed(serve):
    """A server that was killed amid the training of a client of Tinker's, and started again."""
    server = serve()
    service = tinker.ServiceClient(base_url=server.address, api_key=f"tml-{KEY}")
    client = service.create_lora_training_client(base_model="gpt-4o-mini", rank=2, seed=5).result()
    client.forward_backward(DATA, "cross_entropy").result()
    client.optim_step(STEP).result()
    path = client.save_state("kept").result().path
    goes_on = continued(client)
    in_flight = client.forward_backward(DATA, "cross_entropy")
    server.kill()
    file_id = upload(server.start().client())
    return server, service, client, in_flight, path, goes_on, file_id


DATA = [types.Datum(types.ModelInput.from_ints([5, 17, 9]), {"target_tokens": np.array([17, 9, 30])})]  # pyright: ignore
STEP = types.AdamParams(learning_rate=1e-2)


def continued(client):
    """The losses before and after one more step."""
    before = client.forward_backward(DATA, "cross_entropy").result().metrics["loss:sum"]
    client.optim_step(STEP).result()
    return before, client.forward(DATA, "cross_entropy").result().metrics["loss:sum"]


def test_after_a_kill_tinkers_client_is_told_in_words_that_its_model_is_gone(killed):
    _, service, client, in_flight, *_ = killed
    gone = "the server was started again since"
    for ask in (client.optim_step, lambda _: client.save_state("more")):
        with pytest.raises(tinker.NotFoundError, match=gone):
            ask(STEP).result()
    try:
        in_flight.result()  # it was answered right before the kill
    except (tinker.NotFoundError, ValueError) as error:  # the latter where only its acceptance was answered
        assert gone in str(error)
    with suppress(tinker.NotFoundError):  # its session is gone too; this ends its heartbeats
        service.close("success").result()


def test_after_a_kill_tinkers_client_goes_on_from_its_saved_weights_as_the_model_itself_did(killed):
    server, _, _, _, path, goes_on, _ = killed
    with tinker.ServiceClient(base_url=server.address, api_key=f"tml-{KEY}") as service:
        again = service.create_training_client_from_state_with_optimizer(path).result()
        assert continued(again) == pytest.approx(goes_on, abs=1e-6)


def test_a_stopped_server_says_so_and_has_kept_everything(killed):
    server, *_, file_id = killed
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
