"""``-e compare`` end to end: versions of one run's rows, without a run, of labels; and what is refused."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from data import pirate as pirate_set
from data.errors import ConfigError, UserError
from registry import evaluation_run, report_files, version_details, versions
from steps.compare import compare
from steps.noisy import noisy
from steps.pirate import pirate
from tests.small_version import register_adapter

NEW_TOKENS = 6
TFIDF = ["--learner", "tfidf", "--n_train", "150", "--n_test", "40", "--folds", "1"]


def printed(step, *argv):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        step(list(argv))
    return out.getvalue()


def newest(client, name):
    [found] = client.search_runs(["1"], f"tags.entry = '{name}'", max_results=1, order_by=["start_time DESC"])
    return found


@pytest.fixture(scope="module")
def client(quick, tiny_base, settle, tmp_path_factory):
    """A store with pirate/1 of a run, pirate/2 of the same rows, pirate/3 without a run, and two versions of labels."""
    folder = tmp_path_factory.mktemp("compare")
    with pytest.MonkeyPatch.context() as patch:
        client = MlflowClient(settle(folder, patch))
        printed(pirate, *quick(max_new_tokens=NEW_TOKENS, epochs=1))
        first = versions.resolve("pirate/1")
        register_adapter(tiny_base, folder, seed=5)
        second = client.get_model_version("pirate", "2")
        tags = {**second.tags, **{key: first.tags[key] for key in ("test_digest", "dataset_digest")}}
        client.delete_model_version("pirate", "2")
        client.create_model_version("pirate", second.source, run_id=first.run_id, tags=tags)
        register_adapter(tiny_base, folder, seed=6)
        for rate in ("0", "0.4"):
            printed(noisy, *TFIDF, "--rate", rate)
        yield client


def test_two_versions_are_compared_on_the_rows_of_the_first_ones_run(client):
    text = printed(compare, "--versions", "pirate/1,pirate/3", "--threads", "1")
    run = newest(client, "compare")
    metrics, tags = run.data.metrics, run.data.tags
    assert (tags["compared_first"], tags["compared_second"]) == ("pirate/1", "pirate/3")
    own = evaluation_run.read(versions.resolve("pirate/1").run_id).data.metrics
    for name in ("chrf", "loss", "train_loss", "stop_rate", "copy_rate"):
        assert metrics[f"first/{name}"] == pytest.approx(own[f"test/{name}"], abs=1e-4)
    assert metrics["change/chrf_low"] <= metrics["change/chrf"] <= metrics["change/chrf_high"]
    assert metrics["won/first"] + metrics["won/second"] + metrics["won/ties"] == 45
    assert "45: the held-out rows of pirate/1" in text and re.search(r"chrF .*\+.* to ", text)


def test_the_page_and_its_record_agree_and_are_kept_with_the_run(client):
    printed(compare, "--versions", "pirate/1,pirate/3", "--threads", "1")
    run = newest(client, "compare")
    record = json.loads(Path(client.download_artifacts(run.info.run_id, "report.json")).read_text())
    html = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text()
    assert record["sides"] == ["pirate/1", "pirate/3"] and len(record["items"]) == 45
    assert len(re.findall(r"data-winner=", html)) == 45 and run.data.tags["verdict"] == record["verdict"]
    won = {name: html.count(f'data-winner="{name}"') for name in ("pirate/1", "pirate/3", "tie")}
    assert list(won.values()) == [run.data.metrics[f"won/{key}"] for key in ("first", "second", "ties")]


def test_rows_of_ones_own_are_taken_where_a_version_has_no_run(client, tmp_path):
    rows = [{"prompt": row.prompt, "response": row.response} for row in pirate_set.test_rows()[:9]]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = printed(compare, "--versions", "pirate/4,pirate/1", "--dataset", str(file), "--max_new_tokens", "4")
    assert f"9: the rows of {file}" in text
    assert "first/copy_rate" not in newest(client, "compare").data.metrics


def test_versions_of_labels_are_compared_by_what_their_runs_predicted(client):
    text = printed(compare, "--versions", "noisy/1,noisy/2")
    run = newest(client, "compare")
    own = [evaluation_run.read(versions.resolve(f"noisy/{n}").run_id).data.metrics["test/accuracy"] for n in (1, 2)]
    assert [run.data.metrics[f"{side}/accuracy"] for side in ("first", "second")] == own
    assert "by probability of the true label" in text


@pytest.mark.parametrize(("version", "primary"), [("pirate/1", "chrf"), ("noisy/2", "accuracy")])
def test_a_training_run_keeps_a_report_with_its_claims_and_every_row(client, version, primary):
    run = evaluation_run.read(versions.resolve(version).run_id)
    record = json.loads(Path(client.download_artifacts(run.info.run_id, "report.json")).read_text())
    html = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text()
    assert record["verdict"] == run.data.tags["verdict"] and record["primary"] == primary
    [line] = [each for each in record["metrics"] if each["name"] == primary]
    assert line["change"]["low"] == run.data.metrics[f"change/{primary}_low"]
    assert len(record["items"]) == record["rows"] and record["claims"]
    assert 'aria-label="Claims"' in html and html.count("data:image/png") >= 1 and "<script" not in html
    assert not re.search(r"(?:src|href)=\W*https?:", html)


def test_a_version_without_a_report_says_so_and_one_with_it_has_it(client):
    assert version_details.details_of(versions.resolve("pirate/1")).has_report
    assert not version_details.details_of(versions.resolve("pirate/4")).has_report
    assert report_files.load_page(versions.resolve("pirate/1").run_id).startswith("<!doctype html>")
    assert report_files.load_page("0" * 32) == ""


def test_another_metric_can_decide(client):
    text = printed(compare, "--versions", "pirate/1,pirate/3", "--threads", "1", "--primary", "loss")
    assert "(by loss)" in text
    with pytest.raises(UserError, match="primary=loss: it must be auto or a metric of these rows"):
        printed(compare, "--versions", "noisy/1,noisy/2", "--primary", "loss")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["pirate/1,pirate/1"], "names pirate/1 twice"),
        (["pirate/1,pirate/9"], "no version pirate/9"),
        (["pirate/4,pirate/1"], "pirate/4 keeps no held-out rows; name rows with dataset=FILE"),
        (["pirate/1,pirate/4"], "were evaluated on different rows; name rows with dataset=FILE"),
        (["pirate/1,noisy/1"], "one was made by -e noisy"),
        (["noisy/1,noisy/2", "--dataset", "mine.jsonl"], "compared by what their runs predicted"),
        (["noisy/1,noisy/2", "--suites", "facts"], "compared by what their runs predicted"),
        (["pirate/1,pirate/3", "--suites", "fact"], "suites=fact: there is no such suite"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_in_one_line(client, argv, message):
    with pytest.raises(UserError, match=re.escape(message)) as refused:
        printed(compare, "--versions", *argv)
    assert "\n" not in str(refused.value)
    assert client.search_runs(["1"], "tags.entry = 'compare' and attributes.status = 'FAILED'") == []


@pytest.mark.parametrize("given", ["", "pirate/1", "pirate/1,", "a/1,a/2,a/3"])
def test_other_than_two_versions_are_refused_before_a_run_is_opened(store, given):
    with pytest.raises(ConfigError, match="versions must be two"):
        compare(["--versions", given])
    assert not [e for e in MlflowClient().search_experiments() if e.name == "parley"]


def test_rows_that_changed_since_the_run_are_refused(client, monkeypatch):
    monkeypatch.setattr(pirate_set, "test_rows", lambda: pirate_set.named_rows("clean")[:20])
    monkeypatch.setattr("data.splits.overlap", lambda *rows: [])
    with pytest.raises(UserError, match="held-out rows of pirate/1 have changed since its run"):
        printed(compare, "--versions", "pirate/1,pirate/3")


def test_suites_are_compared_too_item_by_item(client, tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "Sky?", "scorer": "choice", "choices": ["blue", "red"]}\n' * 9)
    suites = f"sycophancy,{tmp_path / 'mine.jsonl'}"
    text = printed(compare, "--versions", "pirate/1,pirate/3", "--threads", "1", "--suites", suites)
    run = newest(client, "compare")
    record = json.loads(Path(client.download_artifacts(run.info.run_id, "report.json")).read_text())
    sizes = {line["name"]: line["change"]["n"] for line in record["metrics"] if "/" in line["name"]}
    assert sizes["sycophancy/accuracy"] == 60 and sizes["mine/accuracy"] == 9
    assert "retention suites" in text and "Beyond them: sycophancy, mine." in " ".join(record["limits"])
    found = run.data.metrics
    assert found["change/sycophancy/accuracy_low"] <= found["change/sycophancy/accuracy"]
