"""``/v1/models`` through the real SDK: bases, OpenAI's names for them, and what the registry has."""

import openai
import pytest
from mlflow import MlflowClient

from registry import versions as registry_versions
from registry.errors import TrackingUnavailable
from serve.errors import RequestError
from serve.model_catalog import ModelCatalog
from serve.model_names import ModelNames, fine_tuned_name, registered_name
from serve.store.database import Database
from tests.serve.served import refused

FINE_TUNED = "ft:gpt-4o-mini:parley:catalog:00000001"


@pytest.fixture(scope="module")
def versions(served, weights):
    """Two versions in the server's registry: another tool's, and one like a job makes."""
    registry = MlflowClient(served.env["MLFLOW_TRACKING_URI"])
    registry.create_registered_model("catalog")
    base = {"base_model": str(weights["base"])}
    registry.create_model_version("catalog", str(weights["small"]), tags=base)
    registry.create_model_version("catalog", str(weights["large"]), tags={**base, "openai_id": FINE_TUNED})
    return registry


def test_bases_names_and_versions_are_listed(client, versions, weights):
    ids = [model.id for model in client.models.list()]
    assert {"base", "bundled", "gpt-4o-mini", "gpt-3.5-turbo", "catalog/1", FINE_TUNED} <= set(ids)
    assert len(ids) == len(set(ids))
    assert str(weights["base"]) not in ids, "a path is no public name"


def test_each_model_says_how_many_positions_it_has(client, versions):
    for model in client.models.list():
        found = model.model_extra["max_model_len"]
        assert found == 256 and client.models.retrieve(model.id).model_extra["max_model_len"] == found


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "catalog/1", FINE_TUNED])
def test_a_model_is_found_by_its_id(client, versions, model):
    found = client.models.retrieve(model)
    assert (found.id, found.object) == (model, "model")


def test_every_version_of_the_registry_answers(client, versions):
    def complete(model):
        asked = [{"role": "user", "content": "Where is the boat?"}]
        found = client.chat.completions.create(model=model, messages=asked, temperature=0, max_tokens=8)
        return found.choices[0].message.content

    answers = [complete(model) for model in ("gpt-4o-mini", "catalog/1", FINE_TUNED)]
    assert len(set(answers)) == 3
    versions.set_registered_model_alias("catalog", "champion", "1")
    assert (complete("catalog/2"), complete("catalog@champion")) == (answers[2], answers[1])
    assert complete("catalog/1:base") == answers[0]


def test_a_deleted_version_is_gone(client, versions, weights):
    made = versions.create_model_version("catalog", str(weights["small"]), tags={"base_model": str(weights["base"])})
    model = f"catalog/{made.version}"
    assert client.models.delete(model).deleted
    for call in (client.models.retrieve, client.models.delete):
        with refused(openai.NotFoundError, model, code="model_not_found"):
            call(model)


def test_a_base_is_not_deleted(client):
    with refused(openai.PermissionDeniedError, "base", code="not_deletable"):
        client.models.delete("gpt-4o-mini")


def test_a_registry_that_does_not_answer_is_reported_whatever_is_called(monkeypatch, tmp_path):
    def unavailable(*args):
        raise TrackingUnavailable("the tracking server does not answer")

    for name in ("search", "find_openai", "delete"):
        monkeypatch.setattr(registry_versions, name, unavailable)
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    catalog = ModelCatalog(ModelNames("bundled", {}), 0, database)
    version = registry_versions.Version("a", 1, "run", "", {}, ())
    monkeypatch.setattr(catalog, "_version", lambda model: (version, ""))
    for call in (catalog.listing, lambda: catalog.get("a/1"), lambda: catalog.delete("a/1"),
                 lambda: ModelCatalog(ModelNames("bundled", {}), 0, database).reference(FINE_TUNED)):  # fmt: skip
        with pytest.raises(RequestError, match="does not answer") as refusal:
            call()
        assert (refusal.value.status, refusal.value.code) == (503, "registry_away")


def test_names_stand_for_bases():
    names = ModelNames("bundled", {"gpt-4o": "big", "small": "distilgpt2"})
    assert names.base_of("gpt-3.5-turbo-0125") == "bundled"
    assert names.base_of("gpt-4o-2024-08-06") == names.base_of("gpt-4o") == "big"
    assert names.base_of("gpt-4o-mini-2024-07-18") == "bundled"
    assert names.base_of("small") == names.base_of("distilgpt2") == "distilgpt2"
    assert names.base_of("../../secret") is None and names.base_of("gpt-4o-minimal") is None


def test_made_names_can_be_typed_and_registered():
    made = fine_tuned_name("gpt-4o-mini", "parley", "my suffix/with: odd signs")
    assert made.startswith("ft:gpt-4o-mini:parley:my-suffix-with-odd-signs:")
    assert len(made.split(":")) == 5 and len(made.rpartition(":")[2]) == 8
    assert registered_name("some/base", "a:b") == "ft-some-base-a-b"
