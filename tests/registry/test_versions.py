"""Versions are proven before they are registered, found by name, and made champion only for a reason."""

import dataclasses
import itertools
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file, save_file

from data.errors import UserError
from registry import champion, lineage, runs, versions
from registry.versions import Version

NUMBERS = itertools.count()
HEALTHY = {"verdict": "healthy", "test/chrf": "40.0000", "test_digest": "aaaa"}


@pytest.fixture
def registered(logged):
    """``registered(**tags)`` registers one more version of a name that only this test uses."""
    name = f"model-{next(NUMBERS)}"

    def register(**tags: str) -> Version:
        one = logged["lora"]
        run = MlflowClient().create_run(MlflowClient().get_run(one.run.run_id).info.experiment_id)
        return versions.register(name, one.uri, run.info.run_id, {**HEALTHY, **tags}, "# A card")

    return register


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_reloaded_model_is_the_one_in_memory(logged, kind):
    assert versions.verify(logged[kind].uri, logged[kind].probe) <= versions.LOGITS_TOLERANCE


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_weights_changed_on_disk_after_logging_are_noticed(taught, store, tmp_path, kind):
    run = runs.start("pirate", tmp_path / "outputs")
    uri = versions.log_model(run, taught[kind].checkpoint, taught[kind].model_config, lineage.pins(), "Hi.")
    stored = Path(mlflow.artifacts.download_artifacts(uri))
    [weights] = stored.glob("artifacts/**/*.safetensors")
    changed = {name: tensor * 1.01 for name, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    with pytest.raises(UserError, match="not the trained one.*nothing was registered"):
        versions.verify(uri, taught[kind].probe)
    assert MlflowClient().search_registered_models() == []


def test_another_answer_is_noticed_too(logged):
    probe = dataclasses.replace(logged["lora"].probe, answers=["Aye.", "Nay."])
    with pytest.raises(UserError, match="nothing was registered"):
        versions.verify(logged["lora"].uri, probe)


def test_logging_a_model_leaves_its_run_running(logged):
    assert MlflowClient().get_run(logged["lora"].run.run_id).info.status == "RUNNING"
    assert mlflow.active_run() is None


def test_a_version_keeps_its_run_its_tags_and_its_card(registered, logged):
    made = registered(kind="lora")
    found = MlflowClient().get_model_version(made.name, str(made.number))
    assert (made.number, made.uri, made.source) == (1, f"models:/{made.name}/1", logged["lora"].uri)
    assert found.run_id == made.run_id != ""
    assert made.tags == {**HEALTHY, "kind": "lora"} == found.tags
    assert found.description == "# A card"
    assert registered().number == 2
    assert [each.number for each in versions.versions(made.name)] == [2, 1]


def test_a_run_that_is_resumed_while_registering_gets_one_version(registered, logged):
    made = registered()
    again = versions.register(made.name, logged["lora"].uri, made.run_id, HEALTHY, "# A card")
    assert (again.number, len(versions.versions(made.name))) == (1, 1)


@pytest.mark.parametrize("form", ["{}/2", "{}@champion", "models:/{}/2", "models:/{}@champion", "  {}/2 "])
def test_a_version_is_found_by_each_of_its_names(registered, form):
    registered(verdict="looping")
    made = registered()
    assert champion.promote(made, "chrf", 40.0, "aaaa").moved
    found = versions.resolve(form.format(made.name))
    assert (found.number, found.aliases) == (2, ("champion",))


@pytest.mark.parametrize(
    "wrong", ["", "pirate", "pirate/", "pirate/x", "pirate@", "runs:/abc/model", "a/b/3", "pirate/3@x"]
)
def test_what_names_no_version_is_refused_with_the_right_forms(store, wrong):
    with pytest.raises(UserError, match="names no version: write pirate/3 or pirate@champion"):
        versions.resolve(wrong)


@pytest.mark.parametrize("missing", ["nobody/1", "nobody@champion", "models:/nobody/7"])
def test_a_version_that_is_not_there_is_named_with_its_registry(store, missing):
    with pytest.raises(UserError, match=f"there is no version {missing} in the registry at sqlite:"):
        versions.resolve(missing)


def test_an_alias_that_nobody_has_is_none(registered):
    made = registered()
    assert versions.find_alias(made.name, "champion") is None
    assert versions.find_alias("nobody", "champion") is None


def test_the_first_healthy_version_becomes_champion(registered):
    made = registered()
    promotion = champion.promote(made, "chrf", 40.0, "aaaa")
    assert promotion == champion.Promotion(True, "it is the first healthy version")
    assert versions.resolve(f"{made.name}@champion").number == 1


@pytest.mark.parametrize(
    ("tags", "value", "digest", "moved", "reason"),
    [
        ({}, 40.5, "aaaa", True, "chrf 40.50 is better than {}/1's 40.00"),
        ({}, 40.0, "aaaa", False, "chrf 40.00 is not better than {}/1's 40.00"),
        ({}, 99.0, "bbbb", False, "{}/1 was measured on other test rows, so the two can't be compared"),
        ({"verdict": "echoing"}, 99.0, "aaaa", False, "its verdict is echoing"),
    ],
)
def test_the_champion_moves_only_to_a_better_healthy_version_on_the_same_rows(
    registered, tags, value, digest, moved, reason
):
    first = registered()
    champion.promote(first, "chrf", 40.0, "aaaa")
    second = registered(**tags)
    promotion = champion.promote(second, "chrf", value, digest)
    assert promotion == champion.Promotion(moved, reason.format(first.name), stays=f"{first.name}/1")
    assert versions.resolve(f"{first.name}@champion").number == (2 if moved else 1)


@pytest.mark.parametrize(
    ("theirs", "value", "moved", "reason"),
    [
        (str(14.111249999), 14.111249999, False, "chrf 14.11 is not better than {}/1's 14.11"),
        (str(14.1), 14.1000004, True, "chrf 14.1000004 is better than {}/1's 14.1000000"),
        ("14.1112", 14.111249999, False, "chrf 14.11 is not better than {}/1's 14.11"),  # as older code rounded it
        ("14.1112", 14.11126, True, "chrf 14.1113 is better than {}/1's 14.1112"),
    ],
)
def test_results_are_compared_in_full_so_that_equal_ones_move_nothing(registered, theirs, value, moved, reason):
    first = registered(**{"test/chrf": theirs})
    champion.promote(first, "chrf", float(theirs), "aaaa")
    promotion = champion.promote(registered(), "chrf", value, "aaaa")
    assert promotion == champion.Promotion(moved, reason.format(first.name), stays=f"{first.name}/1")


def test_the_second_of_two_first_versions_promoted_at_once_is_compared_with_the_other(registered, monkeypatch):
    first, second = registered(), registered()
    real = MlflowClient.set_registered_model_alias

    def overtaken(client, name, alias, number):
        real(client, name, alias, str(first.number))
        raise MlflowException("UNIQUE constraint failed: registered_model_aliases")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", overtaken)
    assert not champion.promote(second, "chrf", 39.0, "aaaa").moved
    assert versions.resolve(f"{first.name}@champion").number == first.number


def test_an_unhealthy_first_version_is_no_champion(registered):
    made = registered(verdict="memorising")
    assert champion.promote(made, "chrf", 40.0, "aaaa").sentence == "no champion yet: its verdict is memorising"
    assert versions.find_alias(made.name, "champion") is None


def test_other_data_and_wrong_labels_have_champions_of_their_own(registered):
    first = registered(data="clean", rate="0")
    assert champion.promote(first, "chrf", 40.0, "aaaa").alias == "champion"
    other = registered(data="sums.v2", rate="0", test_digest="bbbb")
    assert champion.promote(other, "chrf", 30.0, "bbbb").sentence.startswith(
        "it is the champion now (champion-sums_v2)"
    )
    turned = registered(data="clean", rate="0.25")
    assert champion.promote(turned, "chrf", 30.0, "aaaa").alias == "champion-clean-turned-0_25"
    assert versions.resolve(f"{first.name}@champion").number == first.number


def test_a_clean_control_is_no_champion_over_versions_with_wrong_labels(registered):
    control = registered(data="reviews", noise="symmetric 0", rate="0")
    noisy = registered(data="reviews", noise="symmetric 0.3", rate="0.3")
    worse = registered(data="reviews", noise="symmetric 0.3", rate="0.3")
    found = [champion.promote(each, "chrf", value, "aaaa") for each, value in ((control, 90.0), (noisy, 50.0))]
    assert [each.alias for each in found] == ["champion-reviews-clean", "champion-reviews-symmetric-0_3"]
    assert all(each.moved for each in found) and versions.find_alias(control.name, "champion") is None
    assert champion.promote(worse, "chrf", 30.0, "aaaa").sentence.startswith("the champion did not move (champion-rev")


def test_a_champion_of_older_code_goes_on_where_noise_and_rows_are_the_same(registered):
    old = registered(noise="symmetric 0.3")
    MlflowClient().set_registered_model_alias(old.name, "champion", "1")
    same = registered(noise="symmetric 0.3", rate="0.3", data="reviews")
    assert champion.promote(same, "chrf", 41.0, "aaaa") == champion.Promotion(
        True, f"chrf 41.00 is better than {old.name}/1's 40.00", stays=f"{old.name}/1"
    )
