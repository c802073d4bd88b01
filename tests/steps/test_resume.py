"""A job that was killed, stopped or cut off from its server goes on as if nothing had happened."""

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from safetensors import safe_open

from data.errors import ConfigError, UserError
from registry import evaluation_run, versions
from steps.cli import OUTPUTS
from steps.pirate import pirate
from tests.processes import Step, TrackingServer, free_port

#: long enough to be killed in the middle of an epoch; dropout, so that the random state matters
LONG = {"dataset": "clean", "epochs": 2, "batch_size": 4, "evals_per_epoch": 2, "dropout": 0.1, "max_new_tokens": 4}
FIRST_POINT, SECOND_POINT, LAST_STEP = 0, 32, 126


def runs_of(client: MlflowClient) -> list[Run]:
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def state_step(folder: Path) -> int | None:
    """The step of the last resume point under ``folder``, or None before the first."""
    for pointer in folder.glob("outputs/*/latest.json"):
        return json.loads(pointer.read_text())["step"]
    return None


def reached(folder: Path, step: int) -> Callable[[], bool]:
    return lambda: (state_step(folder) or 0) >= step and state_step(folder) is not None


def kept_tensors(client: MlflowClient, run_id: str) -> dict[str, bytes]:
    """Every tensor of the kept checkpoints, bit by bit."""
    found = {}
    for path in sorted(Path(client.download_artifacts(run_id, "checkpoints")).rglob("*.safetensors")):
        with safe_open(path, "numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                found[f"{path.parent.name}/{name}"] = tensors.get_tensor(name).tobytes()
    return found


def twice(client: MlflowClient, run: Run) -> list[str]:
    """The metrics that have more than one point at a step."""
    histories = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return [key for key, points in histories.items() if len({p.step for p in points}) < len(points)]


@dataclass(frozen=True)
class Survivor:
    """A job killed three times and finished by the fourth process, beside one that nothing happened to."""

    client: MlflowClient
    run_id: str
    ends: tuple[int, ...]
    printed: str
    untouched: MlflowClient


@pytest.fixture(scope="module")
def survivor(quick, launch, tmp_path_factory) -> Survivor:
    folder, other = tmp_path_factory.mktemp("survivor"), tmp_path_factory.mktemp("untouched")
    calm = launch(other, "steps.pirate", quick(**LONG))
    ends = []

    first = launch(folder, "steps.pirate", quick(**LONG))
    first.wait_for(reached(folder, FIRST_POINT), "the first resume point")
    first.signal(signal.SIGKILL)
    ends.append(first.wait())
    [run_id] = (path.name for path in (folder / "outputs").iterdir())

    second = launch(folder, "steps.pirate", [f"--resume={run_id}"])
    second.wait_for(reached(folder, SECOND_POINT), "the second resume point")
    second.signal(signal.SIGKILL)
    ends.append(second.wait())

    third = launch(folder, "steps.pirate", [f"--resume={run_id}"])
    third.wait_for(lambda: list(folder.glob("mlruns/*/models/m-*/artifacts/MLmodel")), "the logging of the model")
    third.signal(signal.SIGKILL)
    ends.append(third.wait())

    last = launch(folder, "steps.pirate", [f"--resume={run_id}"])
    ends.append(last.wait())
    assert calm.wait() == 0, calm.stderr
    clients = [MlflowClient(f"sqlite:///{each / 'mlflow.db'}") for each in (folder, other)]
    return Survivor(clients[0], run_id, tuple(ends), last.stdout + last.stderr, clients[1])


def test_a_job_killed_at_any_moment_can_be_finished(survivor):
    assert survivor.ends == (-9, -9, -9, 0), survivor.printed
    assert f"Run {survivor.run_id} is resumed" in survivor.printed


def test_the_same_run_goes_on_and_no_other_is_left(survivor):
    [run] = runs_of(survivor.client)
    assert (run.info.run_id, run.info.status) == (survivor.run_id, "FINISHED")


def test_no_metric_has_two_points_at_a_step(survivor):
    [run], [calm] = runs_of(survivor.client), runs_of(survivor.untouched)
    assert twice(survivor.client, run) == []
    points = survivor.client.get_metric_history(survivor.run_id, "train/loss")
    assert sorted(point.step for point in points) == list(range(1, LAST_STEP + 1))
    wanted = survivor.untouched.get_metric_history(calm.info.run_id, "train/loss")
    assert {p.step: p.value for p in points} == {p.step: p.value for p in wanted}


def test_the_weights_are_those_of_an_uninterrupted_run_bit_by_bit(survivor):
    [calm] = runs_of(survivor.untouched)
    ours, theirs = kept_tensors(survivor.client, survivor.run_id), kept_tensors(survivor.untouched, calm.info.run_id)
    assert ours.keys() == theirs.keys() and len(ours) > 4
    assert ours == theirs


def test_one_version_is_registered(survivor):
    found = survivor.client.search_model_versions("name = 'pirate'")
    assert [version.run_id for version in found] == [survivor.run_id]


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def stopped(request, quick, launch, tmp_path_factory) -> tuple[Step, Path]:
    """A job stopped by a signal after its first resume point."""
    folder = tmp_path_factory.mktemp("stopped")
    step = launch(folder, "steps.pirate", quick(**LONG))
    step.wait_for(reached(folder, FIRST_POINT), "the first resume point")
    step.signal(request.param)
    step.wait()
    return step, folder


def test_a_stop_leaves_a_killed_run_and_the_hint_how_to_go_on(stopped):
    step, folder = stopped
    [run] = runs_of(MlflowClient(f"sqlite:///{folder / 'mlflow.db'}"))
    assert (step.code, run.info.status) == (130, "KILLED")
    assert step.stdout.rstrip().endswith(f"Stopped. To continue: mlflow run . -e pirate -P resume={run.info.run_id}")
    assert "Traceback" not in step.stderr


def test_a_second_stop_does_not_interrupt_the_first_ones_cleaning_up(quick, launch, tmp_path):
    step = launch(tmp_path, "steps.pirate", quick(**LONG))
    step.wait_for(reached(tmp_path, FIRST_POINT), "the first resume point")
    while step.poll() is None:  # to the very end of the process
        step.signal(signal.SIGINT)
        step.signal(signal.SIGTERM)
    assert step.code == 130
    [run] = runs_of(MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}"))
    assert run.info.status == "KILLED" and "Traceback" not in step.stderr


@dataclass(frozen=True)
class Cut:
    """A run that ended early in this process, with rows of its own."""

    run_id: str
    rows: Path
    client: MlflowClient


@pytest.fixture
def cut(quick, store, tmp_path) -> Cut:
    """A run that ended in a diverging step, after its first resume point."""
    rows = [{"prompt": f"Say number {i}.", "response": f"Aye, {i}, arr!"} for i in range(24)]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError):
        pirate(quick(dataset=path, epochs=60, method="full", lr=1e30, warmup=0))
    client = MlflowClient(store)
    [run] = runs_of(client)
    return Cut(run.info.run_id, path, client)


@pytest.mark.parametrize(("flag", "kept"), [("epochs=9", "epochs=60"), ("lr=0.1", "lr=1e[+]30")])
def test_flags_that_contradict_the_run_are_refused(cut, flag, kept):
    name = flag.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"resume: the run has {kept}, not .*; leave {name} out"):
        pirate([f"--resume={cut.run_id}", f"--{flag}"])
    assert len(runs_of(cut.client)) == 1


def test_rows_that_changed_since_are_refused(cut):
    rows = json.loads(cut.rows.read_text())
    rows[3]["response"] += " Arr!"
    cut.rows.write_text(json.dumps(rows))
    with pytest.raises(UserError, match=rf"resume={cut.run_id}: the .* rows changed since the run began"):
        pirate([f"--resume={cut.run_id}"])
    [run] = runs_of(cut.client)
    assert run.info.status == "FAILED"
    assert cut.client.search_registered_models() == []


def test_a_base_that_changed_since_is_refused(quick, store, tmp_path, tiny_base):
    import shutil

    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    with pytest.raises(UserError):
        pirate(quick(base_model=base, epochs=60, method="full", lr=1e30, warmup=0))
    [run] = runs_of(MlflowClient(store))
    changed = {name: tensor * 1.5 for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(changed, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="the base model changed since the run began"):
        pirate([f"--resume={run.info.run_id}"])


def test_an_unknown_run_is_refused(store):
    with pytest.raises(UserError, match=f"resume={'b' * 32}: .* is not here, so there is nothing to resume from"):
        pirate([f"--resume={'b' * 32}"])
    assert runs_of(MlflowClient(store)) == []


def test_a_run_of_another_store_is_refused(cut, settle, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    settle(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(UserError, match=f"resume={cut.run_id}: no such run at sqlite:"):
        pirate([f"--resume={cut.run_id}"])


def test_a_finished_run_is_refused(quick, store):
    pirate(quick(epochs=1))
    [run] = runs_of(MlflowClient(store))
    with pytest.raises(UserError, match="a finished run has none"):
        pirate([f"--resume={run.info.run_id}"])
    assert not (OUTPUTS / run.info.run_id).exists()


@dataclass(frozen=True)
class Outage:
    """Two jobs whose server went away in mid-run: one got it back in time, the other was resumed later."""

    client: MlflowClient
    waited: Step
    gave_up: Step
    kept: tuple[str, ...]
    resumed: Step


@pytest.fixture(scope="module")
def outage(quick, launch, empty_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outage")
    (folder / "server.db").write_bytes(empty_store.read_bytes())
    server = TrackingServer(folder).start()
    env = {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "OMP_NUM_THREADS": "1"}
    patient, hasty = (tmp_path_factory.mktemp(name) for name in ("patient", "hasty"))
    try:
        waited = launch(patient, "steps.pirate", quick(**LONG), PARLEY_TRACKING_PATIENCE_S="600", **env)
        gave_up = launch(hasty, "steps.pirate", quick(**LONG), PARLEY_TRACKING_PATIENCE_S="0", **env)
        for step, home in ((waited, patient), (gave_up, hasty)):
            step.wait_for(reached(home, FIRST_POINT), "the first resume point")
            step.signal(signal.SIGSTOP)
        server.stop()
        for step in (waited, gave_up):
            step.signal(signal.SIGCONT)
        gave_up.wait()
        kept = tuple(path.name for path in (hasty / "outputs" / run_id_of(hasty)).iterdir())
        waited.wait_for(lambda: "The tracking server does not answer" in waited.stdout, "the loss of the server")
        server.start()
        resumed = launch(hasty, "steps.pirate", [f"--resume={run_id_of(hasty)}"], **env)
        waited.wait()
        resumed.wait()
        server.stop()
        yield Outage(MlflowClient(f"sqlite:///{folder / 'server.db'}"), waited, gave_up, kept, resumed)
    finally:
        server.stop()


def run_id_of(folder: Path) -> str:
    [path] = (folder / "outputs").iterdir()
    return path.name


def test_a_server_that_comes_back_gets_everything(outage):
    assert outage.waited.code == 0, outage.waited.stderr
    assert "Training continues; metrics are kept in" in outage.waited.stdout
    assert "The tracking server is back: everything kept has been delivered." in outage.waited.stdout
    assert "Version   pirate/" in outage.waited.stdout


def test_a_server_that_stays_away_ends_the_job_after_training_with_the_way_to_go_on(outage):
    assert outage.gave_up.code == 1
    last = outage.gave_up.stderr.rstrip().splitlines()[-1]
    assert last.startswith("The tracking server still does not answer. Training is finished") and "-P resume=" in last
    assert "Traceback" not in outage.gave_up.stderr
    assert {"outbox.jsonl", "latest.json", f"weights-{LAST_STEP}.safetensors"} <= set(outage.kept)


def test_a_later_resume_delivers_evaluates_and_registers(outage):
    assert outage.resumed.code == 0, outage.resumed.stderr
    assert "Version   pirate/" in outage.resumed.stdout


def test_after_an_outage_every_point_is_there_once(outage):
    found = runs_of(outage.client)
    assert [run.info.status for run in found] == ["FINISHED", "FINISHED"]
    for run in found:
        assert twice(outage.client, run) == []
        points = outage.client.get_metric_history(run.info.run_id, "train/loss")
        assert sorted(point.step for point in points) == list(range(1, LAST_STEP + 1))
    assert len(outage.client.search_model_versions("name = 'pirate'")) == 2


def test_a_server_that_is_not_there_at_the_start_ends_the_job_at_once(quick, launch, tmp_path):
    port = free_port()
    step = launch(tmp_path, "steps.pirate", quick(), MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    assert step.wait() == 1
    [line] = [line for line in step.stderr.splitlines() if line.strip()]
    assert line.startswith(f"no run could be started at http://127.0.0.1:{port}: ")
    assert not (tmp_path / "outputs").exists()


def test_versions_of_a_resumed_run_can_be_resolved(survivor):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", survivor.client.tracking_uri)
        assert versions.resolve("pirate/1").run_id == survivor.run_id
