"""Steps in two processes, started as ``torchrun`` starts them: one run, one version, the loss curve of one process."""

import signal
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from registry import evaluation_run
from tests.processes import free_port

#: every weight is trained, for 4 epochs of 3 steps
FULL = {"method": "full", "epochs": 4, "register_as": "shared"}


@pytest.fixture(scope="module")
def two(launch):
    """``two(folder, flags)`` starts ``steps.pirate`` in two processes; returns both."""

    def two(folder: Path, flags: list[str]):
        env = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
        return [launch(folder, "steps.pirate", flags, **env, **rank) for rank in ranks]

    return two


def curve(client: MlflowClient, run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, name))


def runs_of(client: MlflowClient):
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


def test_fsdp_killed_and_resumed_is_one_run_with_one_version_and_the_curve_of_one_process(
    quick, launch, two, tmp_path_factory
):
    alone, shared = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("shared")
    one = launch(alone, "steps.pirate", quick(**FULL))

    killed = two(shared, quick(**FULL, distributed="fsdp"))
    killed[0].wait_for(lambda: list(shared.glob("outputs/*/weights-3.safetensors")), "a resume point")
    for step in killed:  # both before either is waited for: one that loses the other ends with an error of its own
        step.signal(signal.SIGKILL)
    assert [step.wait() for step in killed] == [-signal.SIGKILL] * 2
    client = MlflowClient(f"sqlite:///{shared / 'mlflow.db'}")
    [run] = runs_of(client)
    resumed = two(shared, ["--resume", run.info.run_id])
    assert [step.wait() for step in resumed] == [0, 0], resumed[0].stderr + resumed[1].stderr
    assert one.wait() == 0, one.stderr

    [run] = runs_of(client)
    assert (run.info.status, run.data.params["distributed"]) == ("FINISHED", "fsdp")
    [version] = client.search_model_versions("name = 'shared'")
    assert version.run_id == run.info.run_id
    other = MlflowClient(f"sqlite:///{alone / 'mlflow.db'}")
    for name in ("train/loss", "eval/loss"):
        expected, found = (curve(each, runs_of(each)[0].info.run_id, name) for each in (other, client))
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], rel=1e-4)
