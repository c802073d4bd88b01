"""The noisy-labels job at an OpenAI-compatible API, end to end: what it sends, keeps, registers and survives."""

import contextlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from inference.model_pool import ModelPool
from inference.transcript import Sampling
from registry import evaluation_run, versions
from registry.resolver import Resolver
from steps.cli import OUTPUTS
from steps.noisy import noisy
from tests.fake_openai import KEY, LABELS, Fake, at_hand, error
from tests.processes import free_port
from tests.study_rows import write_rows

QUICK = {"provider": "openai", "n_train": 0, "n_test": 0, "n_memory": 20, "rate": 0.2, "slots": 8}
STEPS = {"steps": 9, "steps_a_look": 9}


def says(model: str, text: str) -> tuple[str, float]:
    """The base answers one label; a tuned model the true one, which is in the text's number."""
    number = int((re.search(r"film (\d+) ", text) or ["", "0"])[1])
    label = number % 2 if model.startswith("ft:") else 1
    return LABELS[label], (0.1, 0.9)[label]


@dataclass
class Lab:
    """One folder with its store, its rows and its API."""

    fake: Fake
    folder: Path
    printed: str = ""

    def noisy(self, **settings: Any) -> None:
        """Run the job here, everything it prints kept."""
        flags = {**QUICK, "dataset": self.folder / "rows.csv", "test_dataset": self.folder / "tests.csv", **settings}
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                noisy([f"--{name}={value}" for name, value in flags.items()])
        finally:
            self.printed += out.getvalue()

    @property
    def client(self) -> MlflowClient:
        return MlflowClient()

    @property
    def runs(self) -> list[Run]:
        return evaluation_run.with_scores(
            self.client.search_runs([each.experiment_id for each in self.client.search_experiments()])
        )

    @property
    def jobs(self) -> int:
        return len(self.fake.jobs)

    def points(self, key: str) -> dict[int, float]:
        found = self.client.search_runs([each.experiment_id for each in self.client.search_experiments()])
        points = [self.client.get_metric_history(run.info.run_id, key) for run in found]
        return {m.step: m.value for each in points for m in each}

    def artifact(self, name: str) -> str:
        [run] = self.runs
        return Path(self.client.download_artifacts(run.info.run_id, name)).read_text()


def open_lab(patch: pytest.MonkeyPatch, stack: contextlib.ExitStack, settle: Any, folder: Path, **settings: Any) -> Lab:
    settle(folder, patch)
    write_rows(folder)
    patch.setattr("openai_jobs.monitor.SHORTEST_S", 0.01)
    patch.setattr("openai_jobs.exactly_once.SETTLE_S", (0.01, 0.01))
    return Lab(stack.enter_context(at_hand(patch, **{"says": says, **STEPS, **settings})), folder)


@pytest.fixture
def lab(settle, tmp_path, monkeypatch):
    """``lab(name=value)`` opens one with an API that is so."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: open_lab(monkeypatch, stack, settle, tmp_path, **settings)


@pytest.fixture(scope="module")
def done(settle, tmp_path_factory):
    """A finished job."""
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        found = open_lab(patch, stack, settle, tmp_path_factory.mktemp("done"), result_base64=True)
        found.noisy(hidden_tokens=2)
        yield found


def test_one_run_has_two_files_one_job_and_no_folder_left(done):
    [run] = done.runs
    purposes = Counter(file["purpose"] for file in done.fake.files.values())
    assert run.info.status == "FINISHED"
    assert (purposes["fine-tune"], done.jobs) == (2, 1)
    assert not (OUTPUTS / run.info.run_id).exists()
    assert run.data.tags["openai_job"] == "ftjob-1" and run.data.tags["openai_address"] == done.fake.address


def test_the_model_and_each_checkpoint_are_versions_like_any_other(done):
    found = versions.versions("noisy")[::-1]
    model = done.fake.jobs["ftjob-1"]["fine_tuned_model"]
    assert [version.tags["openai_id"] for version in found] == [f"{model}:ckpt-step-3", f"{model}:ckpt-step-6", model]
    assert [version.tags["step"] for version in found] == ["3", "6", "9"]
    for version in found:
        assert version.run_id == done.runs[0].info.run_id
        assert version.tags["kind"] == "openai" and version.tags["base_model"] == "gpt-4o-mini-2024-07-18"
        assert [float(version.tags[f"{which}/accuracy"]) for which in ("base", "test")] == [0.5, 1.0]
        assert version.tags["verdict"] == "healthy" and version.tags["dataset_digest"]
    assert [each.number for each in found if each.aliases] == [3]


def test_metrics_stand_by_step_raw_and_corrected(done):
    assert done.points("train/loss") == {step: pytest.approx(0.7 - 0.01 * step, abs=1e-4) for step in range(1, 10)}
    assert done.points("train/loss_corrected")[9] == pytest.approx(3 * 0.61, abs=1e-3)
    assert done.points("eval/loss").keys() == {3, 6, 9}
    assert done.points("test/accuracy") == {3: 1.0, 6: 1.0, 9: 1.0}
    assert done.points("curve/accuracy_true").keys() == {0, 3, 6, 9}
    assert done.points("base/accuracy") == {9: 0.5} and done.points("base/auc") == {9: 0.5}


def test_training_and_evaluation_have_the_same_prompts_and_the_base_is_the_pinned_snapshot(done):
    lines = [json.loads(line)["messages"] for line in done.fake.contents["file-1"].splitlines() if line.strip()]
    trained = {json.dumps(line[:-1]) for line in lines}
    requests = Counter(chat["model"] for chat in done.fake.chats)
    about_training = [chat for chat in done.fake.chats if json.dumps(chat["messages"]) in trained]
    assert len(about_training) == 4 * 20 and len(done.fake.chats) == 4 * (40 + 20)
    assert requests.keys() == {version.tags["openai_id"] for version in versions.versions("noisy")} | {
        "gpt-4o-mini-2024-07-18"
    }
    assert set(done.fake.answered.values()) == {1}


def test_answers_events_result_file_and_checkpoints_are_kept(done):
    answers = [json.loads(line) for line in done.artifact("openai/answers.jsonl").splitlines()]
    assert len({answer["digest"] for answer in answers}) == len(answers) == 240
    assert answers[0]["reply"]["choices"][0]["message"]["content"] in LABELS
    assert done.artifact("openai/step_metrics.csv").startswith("step,train_loss")
    assert list(json.loads(done.artifact("openai/checkpoints.json"))) == ["3", "6", "9"]
    assert json.loads(done.artifact("openai/job.json"))["status"] == "succeeded"
    assert len(done.artifact("openai/events.jsonl").splitlines()) == len(done.fake.events["ftjob-1"])
    assert len(done.artifact("data/flip_mask.jsonl").splitlines()) == 60


def test_a_version_answers_through_the_pyfunc(done):
    before = len(done.fake.chats)
    assert mlflow.pyfunc.load_model("models:/noisy/2").predict(["film 7 was odd", "film 8 was even"]) == [
        "positive", "negative",
    ]  # fmt: skip
    assert {chat["model"] for chat in done.fake.chats[before:]} == {versions.resolve("noisy/2").tags["openai_id"]}


def test_versions_and_their_base_answer_on_the_chat_page(done):
    guide = Resolver(lambda name: Path(name))
    places = guide.look(["noisy/3", "noisy/3:base"])
    names = [versions.resolve("noisy/3").tags["openai_id"], "gpt-4o-mini-2024-07-18"]
    assert [place.remote for place in places] == [(name, done.fake.address) for name in names]
    panel = ModelPool(guide, 2**30, "cpu").load(places)
    assert panel.remote == (True, True)
    *_, exchange = panel.generate("film 2 was dull", Sampling())
    assert [reply.text for reply in exchange.replies] == ["negative", "positive"]


def test_the_key_is_nowhere_in_the_store_the_artifacts_or_what_was_printed(done):
    files = [path for path in done.folder.rglob("*") if path.is_file()]
    assert len(files) > 20 and f"Bearer {KEY}" in done.fake.keys
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.printed and "noisy/3" in done.printed


def test_what_is_printed_can_be_read(done):
    lines = done.printed.splitlines()
    assert "Job     ftjob-1 succeeded, step 9 of 9, training loss 0.610" in lines
    assert sum(line.startswith("Job ") for line in lines) <= 6
    predicted = [line for line in lines if line.startswith("Predict")]
    assert predicted[:2] == [f"Predict {n} rows by gpt-4o-mini-2024-07-18" for n in (20, 40)]
    assert sum("3 epochs" in line for line in lines) == 1
    assert "Base    gpt-4o-mini-2024-07-18" in lines


# What stops it


def test_a_dry_run_sends_nothing_and_leaves_a_report(lab):
    here = lab()
    here.noisy(dry_run="true")
    assert here.fake.requests == [] and here.client.search_registered_models() == []
    assert here.runs[0].info.status == "FINISHED" and here.runs[0].data.tags["dry_run"] == "true"
    page = here.artifact("dry_run.md")
    assert "Nothing was trained or sent" in page and '"n_epochs": 3' in page and "USD" in page


def refuse(here: Lab, pattern: str, **settings: Any) -> None:
    """One line says what is wrong, without the key; nothing is registered."""
    with pytest.raises(UserError, match=pattern) as caught:
        here.noisy(**settings)
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)
    assert here.client.search_registered_models() == []
    assert {run.info.status for run in here.runs} <= {"FAILED"}
    assert KEY not in json.dumps([run.data.tags for run in here.runs])


def test_a_budget_below_the_estimate_sends_nothing(lab):
    here = lab()
    refuse(here, r"budget_usd=0\.001: the job is estimated at .* USD; nothing was sent", budget_usd=0.001)
    assert here.fake.requests == here.runs == []


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("GET /files", error(401, f"Incorrect API key provided: {KEY}.", "x"), "refuses the key in OPENAI_API_KEY"),
        (
            "POST /fine_tuning/jobs",
            error(403, "Not available to you.", "x"),
            r"\(403\): Not available.*provider=parley",
        ),
        ("POST /fine_tuning/jobs", error(400, f"odd {KEY}", "x"), r"start a job .*\(400, x\): odd \*\*\*"),
    ],
)
def test_a_refusal_is_one_line_and_the_run_fails(path, answer, words, lab):
    here = lab()
    here.fake.refusals[path] = answer
    refuse(here, words)
    assert here.jobs == 0


def test_an_endpoint_that_is_not_there_is_named(lab, monkeypatch):
    here = lab()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
    refuse(here, "can't be reached, or the connection broke off: list files")


def test_a_missing_key_is_named_before_anything_is_read(lab, monkeypatch):
    here = lab()
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY to your key"):
        here.noisy()


def test_a_failed_job_registers_nothing_and_gives_its_reason(lab):
    here = lab(fails={"code": "invalid_training_file", "message": "line 3", "param": "training_file"})
    refuse(here, r"ftjob-1 failed: invalid_training_file \(training_file\): line 3; nothing was registered")


def test_questions_are_refused_with_an_alternative(lab):
    rows = [{"question": f"Is {i} even?", "best": "I can't say.", "incorrect": ["Yes.", "No."]} for i in range(40)]
    here = lab()
    (here.folder / "own.json").write_text(json.dumps(rows))
    refuse(here, "take provider=local", dataset=here.folder / "own.json", test_dataset="", kind="best_swapped")
    assert here.fake.requests == here.runs == []


# What it survives


def test_a_fifth_of_the_replies_may_fail(lab, monkeypatch):
    from openai_jobs import request_pool
    from recipes.noisy_labels.learners.openai import OpenAILearner

    quick = request_pool.RetryPolicy(first_s=0.01, longest_s=0.05, timeout_s=1.0)
    monkeypatch.setattr(OpenAILearner.__init__, "__defaults__", (None, print, quick))
    here = lab(faults=0.2, epochs=1)
    here.noisy()
    assert here.fake.failed.total() > 9 and set(here.fake.answered.values()) == {1}
    requests = 2 * 60
    errors = requests - len(here.artifact("openai/answers.jsonl").splitlines())
    assert len(here.fake.answered) == requests - errors
    right, wrong = (here.points(f"test/{name}")[9] for name in ("answered_accuracy", "error_rate"))
    assert right == 1.0 and wrong <= errors / 40


def test_what_an_endpoint_lacks_is_reported_and_the_rest_goes_on(lab):
    here = lab(lacks={"checkpoints", "logprobs", "top20", "batches", "metadata", "metadata_filter"}, epochs=1)
    here.noisy(mode="batch")
    notes = [line for line in here.printed.splitlines() if line.startswith("Note")]
    for words in ("no checkpoints", "no batches", "takes no metadata", "no AUC, ECE or Brier", "requesting 5"):
        assert sum(words in note for note in notes) == 1, (words, notes)
    assert [version.tags["step"] for version in versions.versions("noisy")] == ["9"]
    assert "test/accuracy" in here.runs[0].data.metrics and "test/auc" not in here.runs[0].data.metrics


def test_batches_answer_all_rows_without_a_chat(lab, monkeypatch):
    monkeypatch.setattr("openai_jobs.batch_api.SHORTEST_S", 0.01)
    here = lab(epochs=1)
    here.noisy(mode="batch")
    assert here.fake.chats == [] and len(here.fake.batches) == 4
    assert here.points("test/accuracy") == {9: 1.0}


def test_a_run_interrupted_in_its_evaluation_resumes_with_its_job_and_its_answers(lab):
    here = lab(epochs=1)
    counted = Counter()

    def breaks(number: int, method: str, path: str) -> None:
        counted[path] += 1
        if counted["/chat/completions"] == 90:
            here.fake.refusals["POST /chat/completions"] = error(401, "expired", "x")

    here.fake.before = breaks
    refuse(here, "refuses the key")
    known = len(here.fake.answered)
    here.fake.refusals.clear()
    here.noisy(resume=here.runs[0].info.run_id)
    assert (here.jobs, len(versions.versions("noisy"))) == (1, 1)
    assert known > 70 and set(here.fake.answered.values()) == {1} and len(here.fake.answered) == 120
    assert here.points("train/loss").keys() == set(range(1, 10))


def test_a_run_that_goes_on_with_other_rows_is_refused(lab):
    here = lab()
    here.fake.refusals["POST /fine_tuning/jobs"] = error(500, "sorry", "x")
    refuse(here, "tried 3 times")
    here.fake.refusals.clear()
    with (here.folder / "rows.csv").open("a") as out:
        out.write("a film that came later,1\n")
    with pytest.raises(UserError, match="changed since the run began"):
        here.noisy(resume=here.runs[0].info.run_id)
    assert here.jobs == 0
