"""A task of inspect_ai is run on base and version through a server of this project, and paired by sample."""

import pytest
from mlflow.tracking import MlflowClient

from data.errors import UserError
from recipes.evaluation import inspect_tasks
from steps.evaluate import evaluate

TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate


@task
def letters():
    texts = ["Hello there, friend.", "Where is the boat?", "What is a ship?"]
    samples = [Sample(id=f"q{i}", input=text, target=letter) for i, (text, letter) in enumerate(zip(texts, "az#"))]
    return Task(dataset=samples, solver=generate(max_tokens=6), scorer=includes())
"""


@pytest.fixture
def task_file(tmp_path):
    path = tmp_path / "letters.py"
    path.write_text(TASK)
    return path


def test_base_and_version_answer_the_same_samples_and_are_compared_in_pairs(version, task_file, capsys):
    pytest.importorskip("inspect_ai", reason="requirements-eval.txt is optional")
    evaluate([f"--version={version}", f"--suite=inspect:{task_file}@letters", "--threads=1"])
    [line] = [each for each in capsys.readouterr().out.splitlines() if each.startswith("letters/includes")]
    assert line.split()[1] == "3"
    client = MlflowClient()
    experiment = client.get_experiment_by_name("parley")
    run = client.search_runs([experiment.experiment_id], "tags.entry = 'evaluate'")[0]
    values = run.data.metrics
    base, tuned = values["base/letters/includes"], values["test/letters/includes"]
    assert values["change/letters/includes"] == pytest.approx(tuned - base)
    assert values["change/letters/includes_low"] <= tuned - base <= values["change/letters/includes_high"]


def test_a_sample_that_is_answered_several_times_counts_once():
    pytest.importorskip("inspect_ai", reason="requirements-eval.txt is optional")
    from types import SimpleNamespace as Record

    from inspect_ai.scorer import Score

    samples = [Record(id="a", scores={"match": Score(value=value)}) for value in "CCI"]
    samples.append(Record(id="b", scores={"match": Score(value="I")}))
    log = Record(eval=Record(task="quiz"), results=None, samples=samples)
    found = inspect_tasks.measured([log])
    assert found.items["quiz/match"] == {"a": (pytest.approx(2 / 3), 1.0), "b": (0.0, 1.0)}
    assert found.values["quiz/match"] == pytest.approx(1 / 3)


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match="there is no file gone.py; write inspect:FILE.py@TASK"):
        inspect_tasks.require_file("gone.py@quiz")


def test_without_inspect_ai_one_line_says_how_to_install_it(version, task_file, monkeypatch):
    monkeypatch.setattr(inspect_tasks, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install -r requirements-eval.txt"):
        evaluate([f"--version={version}", f"--suite=inspect:{task_file}@letters"])
