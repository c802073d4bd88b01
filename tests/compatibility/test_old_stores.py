"""A store that the code of commit 47ebf1d made is read, answered from and finished by the code of today.

``old_store.tar.xz`` was made by ``make_store.py``, and ``expected.json`` says what the old code made of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from registry import evaluation_run
from tests.compatibility.store_archive import expected, replace, unpack
from tests.fake_openai import at_hand
from tests.processes import Launcher, Step
from tests.serve.served import Served, ended

EXPECTED = expected()
RUN, STUDY, SERVER = EXPECTED["interrupted_run"], EXPECTED["interrupted_study"], EXPECTED["server"]
REMOTE = EXPECTED["answers"]["remote/3"]
ANSWERS = {name: each for name, each in EXPECTED["answers"].items() if name != "remote/3"}
CLOSE = {"rel": 2e-3, "abs": 2e-3}  # metrics at the end of a training: rounding differs between processors
ANSWER_ALL = """
import json, sys, mlflow
found = {}
for name, each in json.loads(sys.argv[1]).items():
    model = mlflow.pyfunc.load_model(f"models:/{name}")
    found[name] = {"answers": list(model.predict(each["asked"]))}
    if "probabilities" in each:
        found[name]["probabilities"] = list(model.predict(each["asked"], params={"probability": True}))
    if "logits" in each:
        last = model.unwrap_python_model().logits(each["token_ids"])[-1]
        found[name]["logits"] = last[: len(each["logits"])].tolist()
print(json.dumps(found))
"""


def flags(**settings: Any) -> list[str]:
    return [f"--{name}={value}" for name, value in settings.items()]


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@dataclass(frozen=True)
class Work:
    """A step at work in a store of its own."""

    folder: Path
    step: Step

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(address(self.folder))

    def end(self) -> str:
        """What the step printed; fails the test where it ended badly."""
        assert self.step.wait() == 0, self.step.stdout + self.step.stderr
        return self.step.stdout


@pytest.fixture(scope="module")
def begin(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Work]:
    """``begin(module, argv, folder)`` starts a step in the old store, unpacked anew where no folder is given."""

    def begin(module: str, argv: list[str], folder: Path | None = None) -> Work:
        folder = folder or unpack(tmp_path_factory.mktemp("old"))
        env = {"MLFLOW_TRACKING_URI": address(folder), "PARLEY_OUTPUTS": str(folder / "outputs")}
        env |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        return Work(folder, launcher.start(module, argv, env, folder))

    return begin


@pytest.fixture(scope="module")
def server(launcher: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """The server on the old ``serve.db``; it takes up the job that was running."""
    folder = unpack(tmp_path_factory.mktemp("served"))
    return Served(launcher, folder, address(folder), base_model=folder / "base", checkpoints=2).start()


@pytest.fixture(scope="module")
def resumed(begin: Callable[..., Work]) -> Work:
    return begin("steps.pirate", flags(resume=RUN["run_id"]))


@pytest.fixture(scope="module")
def study(begin: Callable[..., Work]) -> Work:
    return begin("steps.study", flags(resume=STUDY["run_id"], jobs=1))


@pytest.fixture(scope="module", autouse=True)
def at_once(server: Served, resumed: Work, study: Work) -> None:
    """What takes longest is begun before the first test."""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory):
    """The old store as this process's own, with an API that the remote versions lead to."""
    folder = unpack(tmp_path_factory.mktemp("old"))
    with pytest.MonkeyPatch.context() as patch, at_hand(patch) as fake:
        replace(folder, REMOTE["base_url"], fake.address)
        patch.setenv("MLFLOW_TRACKING_URI", address(folder))
        patch.chdir(folder)
        yield folder


# Versions


def test_versions_answer_through_mlflow_in_a_process_without_this_project(old):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "ignore", "-c", ANSWER_ALL, json.dumps(ANSWERS)]
    done = subprocess.run(command, cwd=old / "base", env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, wanted in ANSWERS.items():
        assert found[name]["answers"] == wanted["answers"], name
        assert found[name].get("logits") == (pytest.approx(wanted["logits"], abs=1e-4) if "logits" in wanted else None)
    numbers = [[float(each) for each in of["noisy/1"]["probabilities"]] for of in (found, ANSWERS)]
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-9)


def test_a_remote_version_is_asked_for_at_the_address_that_was_kept(old):
    import mlflow

    model = mlflow.pyfunc.load_model("models:/remote@champion")
    assert model.unwrap_python_model().config["model"] == REMOTE["model"]
    assert model.predict(["Is it good?"]) == ["positive"]


def test_versions_checkpoints_bases_and_aliases_answer_on_the_page_as_they_did(old):
    from demo.config import DemoConfig
    from demo.server import make_pool
    from inference.transcript import Sampling

    panel = make_pool(DemoConfig(threads=1)).open([*EXPECTED["references"], "pirate@champion", "remote/3"])
    exchanges: list[Any] = []
    for prompt, wanted in zip(EXPECTED["prompts"], EXPECTED["greedy"], strict=True):
        *_, last = panel.generate(prompt, Sampling(0.0, 1.0, 16, 7), exchanges)
        exchanges.append(last)
        assert [reply.text for reply in last.replies] == [*wanted, wanted[1], "positive"]


def test_the_details_of_a_version_have_its_curves_scores_checkpoints_and_card(old):
    from registry import version_details, versions

    details = version_details.details_of(versions.resolve("pirate@champion"))
    assert details.notes == () and details.card.startswith("# pirate")
    assert len(details.train_loss) == 96 and [step for step, _ in details.eval_loss] == [0, 24, 48, 72, 96]
    assert details.checkpoints == (24, 48, 72, 96)
    assert {score.name for score in details.scores} >= {"loss", "chrf", "loop_rate", "echo_rate"}


@pytest.mark.parametrize("name", ["greedy.json", "drawn.html"])
def test_a_transcript_is_replayed_token_for_token(begin, old, name):
    lines = begin("steps.replay", [name], old).end().splitlines()
    assert lines[-1] == "All 8 answers are the same, token for token."


def test_votes_are_read_and_counted_with_one_that_had_not_been_delivered(begin, old):
    from registry.votes import outbox

    box = outbox.VoteOutbox(old / "outputs" / "votes")
    assert box.flush(30)
    box.close()
    lines = begin("steps.votes", ["--output=pairs_of_votes.jsonl", "--pairs=all"], old).end().splitlines()
    assert lines[0] == "Votes on pirate: 4 blind, 1 with the versions shown"
    rows = [json.loads(line) for line in (old / "pairs_of_votes.jsonl").read_text().splitlines()]
    assert all(row.pop("voter") for row in rows)  # it was not written then
    wanted = {json.dumps(row) for row in EXPECTED["preference_pairs"]}
    assert {json.dumps(row) for row in rows} >= wanted


# What was interrupted


def test_an_interrupted_run_is_finished(resumed):
    assert f"Run {RUN['run_id']} is resumed" in resumed.end()
    client = resumed.client
    everything = client.search_runs([each.experiment_id for each in client.search_experiments()])
    [run] = [each for each in evaluation_run.with_scores(everything) if each.info.run_id == RUN["run_id"]]
    assert run.info.status == "FINISHED" and run.data.tags["verdict"] == RUN["verdict"]
    points = {p.step: p.value for p in resumed.client.get_metric_history(RUN["run_id"], "train/loss")}
    wanted = {int(step): value for step, value in RUN["train_loss"].items()}
    assert sorted(points) == list(range(1, max(wanted) + 1))
    assert {step: points[step] for step in wanted} == pytest.approx(wanted, **CLOSE)
    assert {name: run.data.metrics[name] for name in RUN["metrics"]} == pytest.approx(RUN["metrics"], **CLOSE)
    [version] = resumed.client.search_model_versions("name = 'resumed'")
    assert version.run_id == RUN["run_id"]


def test_an_interrupted_study_is_finished_without_doing_a_cell_twice(study):
    assert "1 of them done before" in study.end()
    parent = study.client.get_run(STUDY["run_id"])
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics == pytest.approx(STUDY["metrics"], abs=1e-6)
    cells = study.client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{STUDY['run_id']}'")
    assert [run.info.status for run in cells].count("FINISHED") == 4


# The server


def test_the_server_lists_the_files_jobs_models_and_batches_of_an_old_database(server):
    client = server.client(SERVER["key"])
    assert SERVER["file"] in [each.id for each in client.files.list()]
    assert [each.id for each in client.fine_tuning.jobs.list()] == [SERVER["running_job"], SERVER["job"]]
    done = client.fine_tuning.jobs.retrieve(SERVER["job"])
    assert (done.status, done.fine_tuned_model, done.metadata) == ("succeeded", SERVER["model"], {"epochs": "12"})
    checkpoints = client.fine_tuning.jobs.checkpoints.list(SERVER["job"])
    assert [each.fine_tuned_model_checkpoint for each in checkpoints] == SERVER["checkpoints"]
    wanted = {name for name in SERVER["models"] if not name.startswith("/")}
    assert wanted <= {each.id for each in client.models.list()}
    batch = client.batches.retrieve(SERVER["batch"])
    assert batch.status == "completed" and batch.output_file_id
    assert client.files.content(batch.output_file_id).text == SERVER["batch_output"]


def answered(server: Served, model: str) -> tuple[str, list[float]]:
    messages: Any = [{"role": "user", "content": SERVER["question"]}]
    said = server.client(SERVER["key"]).chat.completions.create(
        model=model, messages=messages, max_tokens=8, temperature=0, logprobs=True
    )
    [choice] = said.choices
    assert choice.logprobs and choice.logprobs.content
    return choice.message.content or "", [each.logprob for each in choice.logprobs.content]


def test_the_server_answers_from_an_old_fine_tuned_model(server):
    text, logprobs = answered(server, SERVER["model"])
    assert text == SERVER["answer"] and logprobs == pytest.approx(SERVER["logprobs"], abs=1e-3)
    assert answered(server, "pirate/1")[0]


def test_the_server_finishes_the_job_that_was_running(server):
    client = server.client(SERVER["key"])
    done = ended(client, SERVER["running_job"])
    assert (done.status, done.error) == ("succeeded", None)
    assert (done.fine_tuned_model, done.trained_tokens) == (SERVER["running_model"], SERVER["trained_tokens"])
    assert answered(server, SERVER["running_model"])[0] == SERVER["running_answer"]
    [last] = client.fine_tuning.jobs.checkpoints.list(done.id, limit=1).data
    found = {name: getattr(last.metrics, name) for name in SERVER["running_metrics"]}
    assert found == pytest.approx(SERVER["running_metrics"], **CLOSE)
    steps = [each.data["step"] for each in client.fine_tuning.jobs.list_events(done.id) if each.data]
    assert sorted(steps) == list(range(1, 76)), "each step is reported once, by whichever process"
