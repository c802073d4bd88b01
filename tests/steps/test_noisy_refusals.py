"""Whatever is wrong with rows or settings is one line; no run is left and nothing is registered."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from data.errors import UserError
from data.labelled import LabelledRow
from registry import evaluation_run
from steps.noisy import noisy

QUICK = {"n_train": 240, "n_test": 100, "rate": 0.2, "learner": "tfidf"}
GOOD = [LabelledRow(f"{'A fine' if i % 2 else 'A dull'} film, number {i}.", i % 2, str(i), i) for i in range(60)]


def flags(**settings: Any) -> list[str]:
    return [f"--{name}={value}" for name, value in {**QUICK, **settings}.items()]


def records(rows: list[LabelledRow]) -> str:
    return "".join(json.dumps({"text": row.text, "label": row.label}) + "\n" for row in rows)


def all_runs(client: MlflowClient) -> list[Run]:
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


@pytest.fixture
def refused(store) -> Callable[..., None]:
    """``refused(pattern, name=value, ...)``: one clear line, no run left, nothing registered, nothing trained."""

    def refused(pattern: str, **settings: Any) -> None:
        with pytest.raises(UserError, match=pattern):
            noisy(flags(**settings))
        client = MlflowClient(store)
        assert client.search_registered_models() == all_runs(client) == []

    return refused


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (records(GOOD)[:-3] + 'maybe"}\n', "own.jsonl row 60"),
        (records(GOOD) + '{"text": "Fine.", "label": "maybe"}\n', "maybe"),
        (records([row for row in GOOD if row.label]), "all .*positive.*both classes|only one|label"),
        (records(GOOD[:6]), "too few"),
        ("", "empty"),
    ],
    ids=["half a line", "no label", "one class", "few rows", "empty"],
)
def test_a_file_that_can_not_be_used_is_named_with_its_fault(text, message, refused, tmp_path):
    (tmp_path / "own.jsonl").write_text(text)
    refused(message, dataset=tmp_path / "own.jsonl", n_train=0, n_test=0)


def test_a_broken_gzip_is_named(refused, tmp_path):
    whole = gzip.compress(records(GOOD).encode())
    (tmp_path / "own.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    refused(r"own\.jsonl\.gz", dataset=tmp_path / "own.jsonl.gz", n_train=0, n_test=0)


def test_a_test_set_that_is_trained_on_is_refused(refused, tmp_path):
    for name, rows in (("own", GOOD), ("held_out", GOOD[:30])):
        (tmp_path / f"{name}.jsonl").write_text(records(rows))
    where = {"dataset": tmp_path / "own.jsonl", "test_dataset": tmp_path / "held_out.jsonl"}
    refused("30 of 30 test rows are trained on", **where, n_train=0, n_test=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 1.2}, "rate is a share, from 0 to 1, not 1.2"),
        ({"rate": "nan"}, "rate is a share"),
        ({"kind": "random"}, "kind must be one of symmetric"),
        ({"kind": "trigger"}, "give word"),
        ({"kind": "trigger", "word": "xylophone"}, "word='xylophone': none of the 240 training rows has it"),
        ({"kind": "best_swapped"}, "best_swapped is for questions"),
        ({"n_train": 9000}, "n_train=9,000: there are only 3,200 rows"),
        ({"n_test": 9000}, "n_test=9,000"),
        ({"dataset": "nowhere.csv"}, "nowhere.csv: there is no such file"),
        ({"provider": "openai"}, "learner only applies to provider=local"),
        ({"learner": "tfidf", "rank": 4}, "rank only apply to learner=lora"),
        ({"c": 0}, "c must be a number above 0"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_a_setting_that_makes_no_sense_is_named(settings, message, refused):
    refused(message, **settings)


def test_questions_are_refused_by_tfidf(refused, tmp_path):
    rows = [{"question": f"Is {i} even?", "best": "I can't say.", "incorrect": ["Yes.", "No."]} for i in range(40)]
    (tmp_path / "own.json").write_text(json.dumps(rows))
    settings = {"dataset": tmp_path / "own.json", "kind": "best_swapped", "n_train": 0, "n_test": 0}
    refused("learner=tfidf tells two classes", **settings)


def test_a_preflight_error_ends_the_run_before_training(refused, tmp_path):
    rows = [*GOOD, LabelledRow("A film that ends <|endoftext|> early.", 1, "x", 60)]
    (tmp_path / "own.jsonl").write_text(records(rows))
    refused("special token", dataset=tmp_path / "own.jsonl", n_train=0, n_test=0)


def test_a_refusal_is_one_line_and_exit_code_1_in_a_process_of_its_own(launch, tmp_path):
    step = launch(tmp_path, "steps.noisy", flags(kind="trigger", word="xylophone"))
    assert step.wait() == 1
    assert step.stderr.strip().splitlines() == ["word='xylophone': none of the 240 training rows has it; give another"]
    assert all_runs(MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")) == []


def test_examples_before_the_question_are_for_the_qa_form_of_a_model_of_ones_own(refused, tmp_path):
    refused("template=qa is for provider=local with learner=lora or full", template="qa")
    refused("shots: only template=qa has examples", shots="shots.jsonl")
    own = tmp_path / "shots.jsonl"
    own.write_text(json.dumps({"prompt": "Why?", "response": "So.", "system": "Be brief."}) + "\n")
    refused("shots: .*system message", template="qa", learner="lora", base_model="bundled", shots=own)
