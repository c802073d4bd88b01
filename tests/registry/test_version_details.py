"""A version's details, complete or not: a part that is unavailable leaves a line and nothing else is lost."""

import contextlib
import dataclasses
import json
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data.errors import UserError
from evals import metrics
from registry import runs, version_details, versions
from registry.checkpoints import checkpoint_folder
from registry.errors import TrackingUnavailable
from registry.version_metrics import Score
from registry.versions import Version
from tests.processes import free_port

ROWS = [{"prompt": f"Prompt {i}.", "reference": "r", "base": "b", "tuned": "t"} for i in range(30)]
SCORES = {"test/chrf": "92.1000", "base/chrf": "13.2000", "test/lexicon_rate": "0.9400", "base/lexicon_rate": "0.0200"}
LABELS = metrics.short_labels()
TAGS = {**SCORES, "kind": "lora", "verdict": "healthy", "base_model": "bundled", "base_digest": "b" * 16, "step": 8}
DIGESTS = {"dataset_digest": "d" * 8, "test_digest": "e" * 8}
CODE = {"git_commit": "c" * 40, "git_dirty": "true"}


@pytest.fixture
def client(store) -> MlflowClient:
    return MlflowClient(store)


@pytest.fixture
def run(store, tmp_path) -> runs.Run:
    """A finished run with everything that a taught model leaves, but for weights that mean something."""
    run = runs.start("pirate", tmp_path / "outputs")
    run.params({"method": "lora", "dataset": "clean", "epochs": 0, "lr": 0.0})
    run.params({"num_train_epochs": 8, "learning_rate": 0.003})
    run.tags({"verdict": "healthy", "verdict_reasons": "it learned; it does not echo", **DIGESTS, **CODE})
    run.datasets([("clean train", "d" * 8, "clean", 250, "training"), ("test", "e" * 8, "clean", 30, "testing")])
    for step, loss in ((0, 4.0), (4, 2.0), (8, 1.0), (12, 1.5)):
        run.log(step, {"train/loss": loss / 2, "eval/loss": loss})
    run.log(8, {"best_step": 8})
    run.text(json.dumps({"rows": ROWS}), "eval_results.json")
    run.text("# The run's card", "model_card.md")
    for step in (4, 8, 12):
        run.text(f"weights of step {step}", f"checkpoints/step-{step}/adapter_model.safetensors")
    run.finish()
    return run


@pytest.fixture
def add(client):
    """``add(run_id, tags, ...)`` registers one more version, of ``pirate`` unless said otherwise."""

    def add(run_id: str | None = None, tags=(), name: str = "pirate", description: str | None = None) -> Version:
        with contextlib.suppress(MlflowException):  # it is there already
            client.create_registered_model(name)
        text = {key: str(value) for key, value in dict(tags).items()}
        made = client.create_model_version(name, "file:///nowhere", run_id, tags=text, description=description)
        return versions.resolve(f"{name}/{made.version}")

    return add


def artifacts(client: MlflowClient, run: runs.Run) -> Path:
    return Path(client.get_run(run.run_id).info.artifact_uri)


# --- a whole one -----------------------------------------------------------------------------------------------------


def test_a_version_tells_everything_that_its_run_kept(add, run):
    version = add(run.run_id, TAGS, description="# A card")
    details = version_details.details_of(version, labels=LABELS)
    assert details.notes == ()
    assert (details.version, details.kind, details.verdict, details.card) == (version, "lora", "healthy", "# A card")
    assert details.reasons == ("it learned", "it does not echo")
    assert details.scores == (
        Score("lexicon_rate", 0.02, 0.94, "lexicon"),
        Score("chrf", 13.2, 92.1, "chrF"),
    )
    assert details.eval_loss == ((0, 4.0), (4, 2.0), (8, 1.0), (12, 1.5))
    assert details.train_loss == ((0, 2.0), (4, 1.0), (8, 0.5), (12, 0.75))
    assert (details.best_step, details.restored_step, details.checkpoints) == (8, 8, (4, 8, 12))
    lineage = dict(details.lineage)
    assert lineage.pop("made").endswith(" UTC")
    assert lineage == {
        "data": "clean · dddddddd",
        "held-out rows": "test · eeeeeeee",
        "base": "bundled · bbbbbbbbbbbbbbbb",
        "settings": "method lora, epochs 8, lr 0.003",
        "code": "cccccccccccc, with uncommitted changes",
        "run": run.run_id,
    }


def test_prompts_are_taken_evenly_from_the_held_out_rows(add, run):
    prompts = version_details.details_of(add(run.run_id, TAGS)).prompts
    assert len(prompts) == version_details.MOST_PROMPTS
    assert prompts[:3] == ("Prompt 0.", "Prompt 2.", "Prompt 5.") and prompts[-1] == "Prompt 27."


def test_few_prompts_are_all_taken_and_blank_or_repeated_ones_are_not(add, run):
    rows = [{"prompt": prompt} for prompt in ("One.", " ", "Two.", "One.")]
    run.text(json.dumps({"rows": rows}), "eval_results.json")
    assert version_details.details_of(add(run.run_id, TAGS)).prompts == ("One.", "Two.")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/#/experiments/{}/runs/{}"),
        ("https://me:secret@lab.example/mlflow/", "https://lab.example/mlflow/#/experiments/{}/runs/{}"),
        ("", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_the_link_to_the_run_needs_an_address_and_never_holds_a_password(add, run, client, given, shown):
    experiment = client.get_run(run.run_id).info.experiment_id
    assert version_details.details_of(add(run.run_id, TAGS), given).run_url == shown.format(experiment, run.run_id)


def test_an_older_run_tells_the_registered_step_and_its_two_checkpoints(add, run, client):
    tags = {key: value for key, value in TAGS.items() if key != "step"}
    shutil.rmtree(artifacts(client, run) / "checkpoints")
    for name in ("best-step-8", "last-step-12"):
        run.text("weights", f"checkpoints/{name}/adapter_model.safetensors")
    version = add(run.run_id, tags)
    details = version_details.details_of(version, labels=LABELS)
    assert (details.restored_step, details.checkpoints, details.notes) == (8, (8, 12), ())
    assert checkpoint_folder(version, 12).name == "last-step-12"


# --- ruins -----------------------------------------------------------------------------------------------------------


def test_a_version_of_another_tool_still_has_a_story(add):
    details = version_details.details_of(add())
    empty = dataclasses.replace(details, lineage=(), notes=())
    assert empty == version_details.VersionDetails(
        details.version, "", "", (), (), (), (), None, None, (), (), "", (), "", ()
    )
    assert [label for label, _ in details.lineage] == ["made"]
    assert details.notes == (
        "it names no run, so its curves, data and checkpoints are unknown",
        "it has no scores",
        "it has no card",
    )


def test_the_names_that_other_trainers_log_by_are_understood(add, client, run):
    other = client.create_run(client.get_run(run.run_id).info.experiment_id).info.run_id
    for step, loss in ((10, 2.0), (20, 1.0), (30, 3.0)):
        client.log_metric(other, "loss", loss, step=step)
        client.log_metric(other, "eval_loss", loss + 1, step=step)
    client.log_metric(other, "test/accuracy", 0.75)
    details = version_details.details_of(add(other))
    assert details.train_loss == ((10, 2.0), (20, 1.0), (30, 3.0))
    assert (details.best_step, details.restored_step) == (20, None)
    assert details.scores == (Score("accuracy", None, 0.75, "accuracy"),)
    assert details.notes == (
        "its run keeps no held-out prompts and no checkpoints",
        "it has no card",
    )


def test_the_best_step_of_an_older_run_is_found_by_its_earlier_name(add, client, run):
    older = client.create_run(client.get_run(run.run_id).info.experiment_id).info.run_id
    client.log_metric(older, "eval/best_step", 10, step=20)
    details = version_details.details_of(add(older))
    assert (details.best_step, details.restored_step) == (10, 20)


def test_values_that_are_no_number_are_in_no_curve_and_no_score(add, client, run):
    for step, value in ((16, float("nan")), (20, float("inf"))):
        client.log_metric(run.run_id, "eval/loss", value, step=step)
    client.log_metric(run.run_id, "best_step", float("nan"), step=8)
    details = version_details.details_of(
        add(run.run_id, {"test/chrf": "nan", "base/chrf": "much", "test/auc": "inf", "step": "?"})
    )
    assert [step for step, _ in details.eval_loss] == [0, 4, 8, 12]
    assert details.scores == () and details.best_step == details.restored_step == 8


def test_a_run_in_the_bin_is_still_shown_and_said_to_be_there(add, client, run):
    version = add(run.run_id, TAGS)
    client.delete_run(run.run_id)
    details = version_details.details_of(version, labels=LABELS)
    assert details.notes == ("its run was deleted; what is still shown of it can go at any time",)
    assert details.checkpoints and details.eval_loss and details.prompts


def test_a_run_that_is_gone_takes_only_what_was_its_own(add):
    details = version_details.details_of(add("a" * 32, TAGS, description="# A card"))
    [note] = details.notes
    assert note.startswith(f"its run {'a' * 32} is gone")
    assert (details.kind, details.verdict, details.card, details.restored_step) == ("lora", "healthy", "# A card", 8)
    assert len(details.scores) == 2 and ("base", "bundled · bbbbbbbbbbbbbbbb") in details.lineage
    assert (details.eval_loss, details.checkpoints, details.prompts, details.run_url) == ((), (), (), "")


def test_a_version_removed_while_it_is_looked_at_still_shows_its_run(add, client, run):
    version = add(run.run_id, TAGS, description="# A card")
    client.delete_model_version(version.name, str(version.number))
    details = version_details.details_of(version, labels=LABELS)
    [note] = details.notes
    assert note.startswith("pirate/1 is no longer in the registry")
    assert details.card == "# The run's card" and details.checkpoints == (4, 8, 12)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


DAMAGE = {
    "all artifacts": (lambda at: remove(at), "no held-out prompts and no checkpoints"),
    "results": (lambda at: remove(at / "eval_results.json"), "its run keeps no held-out prompts"),
    "half of the results": (lambda at: (at / "eval_results.json").write_text('{"rows": [{"pro'), "is malformed: "),
    "other results": (lambda at: (at / "eval_results.json").write_text("[1, 2]"), "eval_results.json is malformed: "),
    "binary results": (lambda at: (at / "eval_results.json").write_bytes(b"\xff\xfe\x00"), "can't be read: "),
    "checkpoints": (lambda at: remove(at / "checkpoints"), "its run keeps no checkpoints"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_artifact_leaves_a_line_and_all_the_rest(add, client, run, kind):
    version = add(run.run_id, TAGS, description="# A card")
    whole = version_details.details_of(version, labels=LABELS)
    break_it, line = DAMAGE[kind]
    break_it(artifacts(client, run))
    details = version_details.details_of(version, labels=LABELS)
    [note] = details.notes
    assert line in note and "\n" not in note
    assert (details.prompts == ()) == (kind != "checkpoints")
    assert (details.checkpoints == ()) == (kind in ("checkpoints", "all artifacts"))
    same = {"prompts": (), "checkpoints": (), "notes": ()}
    assert dataclasses.replace(details, **same) == dataclasses.replace(whole, **same)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_the_stores_own_folder_where_that_is_on_this_machine(add, client, run):
    found = checkpoint_folder(add(run.run_id), 8)
    assert found == artifacts(client, run) / "checkpoints" / "step-8"
    assert (found / "adapter_model.safetensors").read_text() == "weights of step 8"


def test_a_checkpoint_of_a_store_elsewhere_is_fetched_once(add, run, monkeypatch, tmp_path):
    version, fetched = add(run.run_id), []
    download = MlflowClient.download_artifacts
    monkeypatch.setattr("registry.checkpoints.is_local_uri", lambda uri, **_: False)
    monkeypatch.setattr(MlflowClient, "download_artifacts", lambda *a: fetched.append(a[2]) or download(*a))
    folders = [checkpoint_folder(version, step) for step in (4, 8, 4)]
    assert fetched == ["checkpoints/step-4", "checkpoints/step-8"]
    assert folders[0] == folders[2] and not folders[0].is_relative_to(tmp_path)
    assert [(folder / "adapter_model.safetensors").read_text() for folder in folders[:2]] == [
        "weights of step 4",
        "weights of step 8",
    ]


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (None, "pirate/1 keeps no checkpoint of step 5; it has 4, 8, 12"),
        ("checkpoints", "pirate/1 keeps no checkpoint of step 5; it has none at all"),
    ],
)
def test_a_checkpoint_that_was_not_kept_is_refused_with_those_that_were(add, client, run, damage, line):
    version = add(run.run_id)
    if damage:
        shutil.rmtree(artifacts(client, run) / damage)
    with pytest.raises(UserError, match=line):
        checkpoint_folder(version, 5)


def test_a_checkpoint_whose_run_or_weights_are_gone_is_refused_in_one_line(add, client, run):
    version = add(run.run_id)
    (artifacts(client, run) / "checkpoints" / "step-8" / "adapter_model.safetensors").unlink()
    (artifacts(client, run) / "checkpoints" / "step-8" / "adapter_model.bin").write_text("")
    with pytest.raises(UserError, match="^the checkpoint of step 8 of pirate/1 holds no safetensors weights$"):
        checkpoint_folder(version, 8)
    with pytest.raises(UserError, match="^the run of pirate/2 is gone, and its checkpoints with it$"):
        checkpoint_folder(add("a" * 32), 8)
    with pytest.raises(UserError, match="^pirate/3 names no run, so it has no checkpoints$"):
        checkpoint_folder(add(), 8)


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_the_catalogue_lists_all_models_by_name_and_their_newest_versions_first(add, client):
    for name in ("pirate", 'bob\'s "own"', "bob's", "pirate", "aaa"):
        add(name=name, tags=TAGS)
    client.set_registered_model_alias("pirate", "champion", "1")
    client.set_registered_model_alias("pirate", "also", "1")
    listed = version_details.catalogue(labels=LABELS)
    assert [(e.version.name, e.version.number, e.version.aliases) for e in listed] == [
        ("aaa", 1, ()),
        ("bob's", 1, ()),
        ('bob\'s "own"', 1, ()),
        ("pirate", 2, ()),
        ("pirate", 1, ("also", "champion")),
    ]
    assert {(e.kind, e.verdict, e.headline) for e in listed} == {
        ("lora", "healthy", "lexicon 0.02 -> 0.94 · chrF 13.2 -> 92.1")
    }
    assert all(abs(e.created.timestamp() - time.time()) < 600 for e in listed)
    for name in ("pirate", "bob's", 'bob\'s "own"', "nobody"):
        assert version_details.catalogue(name, LABELS) == [e for e in listed if e.version.name == name]
        assert versions.versions(name) == [e.version for e in listed if e.version.name == name]


def test_an_empty_registry_has_an_empty_catalogue(store):
    assert version_details.catalogue() == []


def test_the_catalogue_asks_once_a_page_and_lists_every_version_once(add, monkeypatch):
    for _ in range(5):
        add()
    asked = []
    for name in ("search_model_versions", "search_registered_models", "get_model_version", "get_run"):
        ask = getattr(MlflowClient, name)
        monkeypatch.setattr(MlflowClient, name, lambda *a, _ask=ask, _n=name, **k: asked.append(_n) or _ask(*a, **k))
    assert [e.version.number for e in version_details.catalogue()] == [5, 4, 3, 2, 1]
    assert asked == ["search_registered_models", "search_model_versions"]
    monkeypatch.setattr(versions, "PAGE", 2)
    assert [e.version.number for e in version_details.catalogue()] == [5, 4, 3, 2, 1]
    assert asked[2:] == ["search_registered_models", *["search_model_versions"] * 3]


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({}, ""),
        ({"verdict": "healthy", "test": "1", "testing/x": "1"}, ""),
        ({"base/chrf": "1"}, ""),
        ({"test/accuracy": "0.888"}, "accuracy 0.89"),
        (
            {"test/ece": ".2", "test/f1": "0.8", "test/auc": "0.9159", "base/auc": "0.5", "test/accuracy": "0.5"},
            "accuracy 0.50 · AUC 0.50 -> 0.92",
        ),
        ({"test/zeal": "1234.5", "test/joy": "0.0004", "base/joy": "0"}, "joy 0.00 -> 0.0004 · zeal 1234.5"),
        ({"test/zeal": "3", "test/loss": "1.5", "base/loss": "nan"}, "loss 1.50 · zeal 3.00"),
    ],
)
def test_the_headline_shows_the_scores_that_matter_most_and_others_by_their_names(add, tags, shown):
    add(tags=tags)
    assert [e.headline for e in version_details.catalogue("pirate", LABELS)] == [shown]


# --- a registry that is away -----------------------------------------------------------------------------------------

SOME = Version("pirate", 1, "a" * 32, "file:///nowhere", {}, ())
QUESTIONS = {
    "details_of": lambda: version_details.details_of(SOME),
    "catalogue": version_details.catalogue,
    "checkpoint": lambda: checkpoint_folder(SOME, 8),
    "resolve": lambda: versions.resolve("pirate/1"),
    "alias": lambda: versions.find_alias("pirate", "champion"),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:{}", "postgresql://me:secret@127.0.0.1:{}/db"])
def test_a_registry_that_is_away_says_so_at_once_without_its_password(question, address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(free_port()))
    slept, sleep, here = [], time.sleep, threading.current_thread()
    monkeypatch.setattr(time, "sleep", lambda s: slept.append(s) if threading.current_thread() is here else sleep(s))
    with pytest.raises(TrackingUnavailable, match=r"^the registry at .*@?127.0.0.1:\d+\S* does not answer: ") as caught:
        QUESTIONS[question]()
    assert sum(slept) < 3  # MLflow alone waits four seconds for a server, a hundred for a database
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_registry_that_hangs_up_is_away_too(question, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as door:
        hanging = threading.Thread(target=hang_up, args=(door,), daemon=True)
        hanging.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{door.getsockname()[1]}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(TrackingUnavailable, match="does not answer"):
            QUESTIONS[question]()
        door.shutdown(socket.SHUT_RDWR)
        hanging.join(10)


def hang_up(door: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            door.accept()[0].close()


def test_a_registry_that_answers_no_is_not_away(store):
    with pytest.raises(UserError, match="there is no version pirate/1") as caught:
        versions.resolve("pirate/1")
    assert not isinstance(caught.value, TrackingUnavailable)


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"method": "full", "rank": 16, "alpha": 32.0, "epochs": 2}, "method full, epochs 2"),
        ({"learner": "lora", "rank": 16, "lr": "1e-4"}, "learner lora, rank 16, lr 1e-4"),
        ({"learner": "tfidf", "rank": 16, "epochs": 3, "lr": 0.0, "seed": 7}, "learner tfidf, seed 7"),
        ({"learner": "lora", "provider": "openai", "epochs": 3}, "epochs 3"),
        ({"method": "lora", "lr": 0.0}, "method lora, lr default"),
    ],
)
def test_the_settings_are_those_that_the_training_used(add, store, tmp_path, params, shown):
    run = runs.start("a run", tmp_path)
    run.params(params)
    run.finish()
    assert dict(version_details.details_of(add(run.run_id)).lineage)["settings"] == shown
