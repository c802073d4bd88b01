"""The three mistakes are repeated on real rows, each with its false score, the right figure, and what catches it."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data.datasets import load
from data.errors import UserError
from data.formats import reviews
from recipes.autopsy.run import first_rows, replay
from steps.autopsy import autopsy


@pytest.fixture(scope="module")
def cases():
    return replay(load("reviews", 7), 100, 7)


def test_each_mistake_gave_a_perfect_score_or_nearly(cases):
    constant, failing, first = cases
    assert (constant.false_score, failing.false_score) == (1.0, 1.0)
    assert first.false_score >= 0.95


def test_the_right_metrics_are_far_from_it(cases):
    constant, failing, first = cases
    assert constant.right.startswith("accuracy 0.500 (") and "AUC undefined" in constant.right
    assert failing.right.startswith("accuracy 0.000 (") and "errors 100%" in failing.right
    assert "accuracy of the answered undefined" in failing.right
    assert 0.4 < float(first.right.split()[1]) < 0.7
    assert float(first.right.partition("AUC ")[2][:5]) > 0.6, "the ranking holds more than the labels"


def test_each_is_caught_by_name(cases):
    constant, failing, first = cases
    assert "warning: predicts negative for 100 % of rows" in constant.guard
    assert "warning: all 100 requests failed (the first: Connection refused)" in failing.guard
    assert "all 100 test rows are negative" in first.guard
    assert "preflight, before that: all 100 test rows have the label negative" in first.guard


def test_the_slice_is_what_the_top_of_a_sorted_file_holds():
    _, test = reviews.bundled()
    top = first_rows(test, 50)
    assert {row.label for row in top} == {0}
    assert [row.position for row in top] == sorted(row.position for row in test if row.label == 0)[:50]


def test_the_step_ends_well_and_keeps_the_page(store, capsys):
    autopsy(["--n_train=300", "--n_test=60"])
    client = MlflowClient(store)
    [run] = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert run.info.status == "FINISHED"
    page = Path(client.download_artifacts(run.info.run_id, "autopsy.md")).read_text()
    assert page.count("false score: ") == 3 and page.rstrip() in capsys.readouterr().out
    table = client.load_table(run.info.experiment_id, "autopsy.json")
    assert list(table["mistake"]) == ["a constant answer", "an API that always fails", "the first N rows"]
    assert client.search_registered_models() == []


def test_more_rows_than_there_are_is_refused(store):
    with pytest.raises(UserError, match="n_test=900: the test has 600 rows of the first class"):
        autopsy(["--n_test=900"])
    client = MlflowClient(store)
    assert list(client.search_runs([each.experiment_id for each in client.search_experiments()])) == []
