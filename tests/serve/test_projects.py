"""Projects: each sees its own files, jobs, batches, responses and models; budgets of a day; the audit log."""

import openai
import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import text

from data.errors import ConfigError
from serve.config import ServeConfig
from serve.errors import RequestError
from serve.http.budgets import Budgets
from serve.store import projects
from serve.store.auth import change_access, new_key
from serve.store.database import Database
from serve.store.projects import CALLER, Caller
from serve.store.tables import MIGRATED, VERSION
from tests.processes import wait_until
from tests.serve.served import refused, training_lines, upload

MESSAGES = [{"role": "user", "content": "Hello."}]


@pytest.fixture(scope="module")
def database(served):
    found = Database(served.database)
    yield found
    found.close()


@pytest.fixture(scope="module")
def clients(served, database):
    """The SDK with a key of each of two projects, and the budgets of the second."""
    change_access(served.database, "", "", "lab2", {"budget": {"requests": 1000, "tokens": 60, "training_tokens": 100}})
    keys = {name: new_key(database, f"key-of-{name}", name) for name in ("lab1", "lab2")}
    found = {name: served.client(key) for name, key in keys.items()}
    wait_until(lambda: served.http(keys["lab2"]).get("/v1/none").status_code == 404, "the keys", pause_s=0.2)
    return found


def test_files_jobs_and_batches_are_a_projects_own(clients, client):
    own, other = clients["lab1"], clients["lab2"]
    file_id = upload(own)
    request = b'{"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "x"}}\n'
    batch = own.batches.create(
        input_file_id=upload(own, request, purpose="batch"), endpoint="/v1/chat/completions", completion_window="24h"
    )
    job = own.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file_id)
    own.fine_tuning.jobs.cancel(job.id)
    assert file_id in [each.id for each in own.files.list()]
    for stranger in (other, client):
        assert file_id not in [each.id for each in stranger.files.list()]
        assert job.id not in [each.id for each in stranger.fine_tuning.jobs.list()]
        assert batch.id not in [each.id for each in stranger.batches.list()]
        jobs = stranger.fine_tuning.jobs
        for call, name in (
            *((call, file_id) for call in (stranger.files.retrieve, stranger.files.content, stranger.files.delete)),
            *((call, job.id) for call in (jobs.retrieve, jobs.list_events, jobs.cancel)),
            (stranger.batches.retrieve, batch.id),
            (lambda name, jobs=jobs: jobs.create(model="gpt-4o-mini", training_file=name), file_id),
        ):
            with refused(openai.NotFoundError, code="not_found"):
                call(name)


def test_one_idempotency_key_of_two_projects_creates_two_files(clients):
    once = {"Idempotency-Key": "shared"}
    ids = [
        each.files.create(file=("a.txt", b"same"), purpose="user_data", extra_headers=once).id
        for each in clients.values()
    ]
    assert len(set(ids)) == 2


def test_a_response_can_not_be_read_or_continued_by_another_project(clients):
    made = clients["lab1"].responses.create(model="gpt-4o-mini", input="Hello.", max_output_tokens=16)
    assert clients["lab1"].responses.retrieve(made.id).id == made.id
    with refused(openai.NotFoundError):
        clients["lab2"].responses.retrieve(made.id)
    with refused(openai.NotFoundError):
        clients["lab2"].responses.create(
            model="gpt-4o-mini", input="And?", previous_response_id=made.id, max_output_tokens=16
        )


def test_fine_tuned_models_are_a_projects_own_and_versions_readable_as_it_says(
    served, weights, clients, client, database
):
    store = MlflowClient(f"sqlite:///{served.folder / 'mlflow.db'}")
    for name, tags in (
        ("ft-lab1", {"openai_id": "ft:base:parley::lab1lab1", "project": "lab1"}),
        ("open", {}),
        ("closed", {}),
    ):
        store.create_registered_model(name)
        store.create_model_version(name, str(weights["small"]), tags={"base_model": str(weights["base"]), **tags})
    change_access(served.database, "", "", "lab2", {"readable": ["open"]})

    def listed(who):
        return {each.id for each in who.models.list()} & {"ft:base:parley::lab1lab1", "open/1", "closed/1"}

    assert listed(clients["lab1"]) == {"ft:base:parley::lab1lab1", "open/1", "closed/1"}
    assert listed(clients["lab2"]) == {"open/1"}
    assert listed(client) == {"open/1", "closed/1"}
    for model in ("ft:base:parley::lab1lab1", "ft-lab1/1", "closed/1"):
        with refused(openai.NotFoundError, code="model_not_found"):
            clients["lab2"].chat.completions.create(model=model, messages=MESSAGES, max_tokens=1)
    assert clients["lab1"].chat.completions.create(model="ft-lab1/1", messages=MESSAGES, max_tokens=1).choices
    with pytest.raises(openai.PermissionDeniedError):
        clients["lab2"].models.delete("open/1")


def test_a_budget_that_is_used_up_is_refused_in_openais_envelope_without_a_retry(clients):
    limited = clients["lab2"]
    with refused(openai.RateLimitError, "lab2", "training tokens a day", code="insufficient_quota"):
        limited.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=upload(limited, training_lines(40)))
    for _ in range(10):
        try:
            limited.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=8)
        except openai.RateLimitError as error:
            assert error.code == "insufficient_quota" and error.response.headers["x-should-retry"] == "false"
            break
    else:
        raise AssertionError("60 tokens were never used up")
    assert clients["lab1"].chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=8).choices


def test_every_change_has_a_line_in_the_audit_log_of_its_project(served, clients, database):
    key = new_key(database, "key-of-lab3", "lab3")
    lab3 = served.client(key)
    wait_until(lambda: served.http(key).get("/v1/none").status_code == 404, "the key", pause_s=0.2)
    file_id = upload(lab3)
    lab3.files.delete(file_id)
    lines = served.http(key).get("/v1/organization/audit_logs").json()["data"]
    found = [(each["type"], each[each["type"]]["id"], each["actor"]["api_key"]["id"]) for each in lines]
    assert found == [
        ("file.deleted", file_id, "key-of-lab3"),
        ("file.created", file_id, "key-of-lab3"),
        ("api_key.created", "key-of-lab3", "(command line)"),
    ]


def test_counts_outlive_the_server_and_begin_anew_each_day(tmp_path):
    database, day = Database(f"sqlite:///{tmp_path / 'serve.db'}"), ["2026-01-01"]
    with database.write() as connection:
        projects.change(connection, "lab", {"budget": {"tokens": 100}})

    def opened():
        budgets = Budgets(database, lambda: day[0])
        budgets.refresh("lab")
        return budgets

    first = opened()
    first.take("lab", "tokens", 90)
    first.correct("lab", "tokens", 90, 80)
    first.take("lab", "requests", 10**9)  # without a limit
    first.flush()
    with pytest.raises(RequestError, match="has used 80 of 100 tokens a day, and this takes 30"):
        opened().take("lab", "tokens", 30)
    day[0] = "2026-01-02"
    opened().take("lab", "tokens", 100)


def test_a_database_of_version_1_opens_with_all_rows_in_the_default_project(tmp_path):
    url = f"sqlite:///{tmp_path / 'serve.db'}"
    database = Database(url)
    key = new_key(database, "old")
    with database.write() as connection:
        for table in MIGRATED:
            connection.execute(text(f"ALTER TABLE {table.name} DROP COLUMN project"))
        for name in ("projects", "usage", "audit"):
            connection.execute(text(f"DROP TABLE {name}"))
        connection.execute(text("UPDATE facts SET value = '1' WHERE name = 'version'"))
    database.close()
    database = Database(url)
    with database.read() as connection:
        rows = connection.execute(text("SELECT name, project FROM keys")).all()
        version = connection.execute(text("SELECT value FROM facts WHERE name = 'version'")).scalar()
    assert (rows, version) == ([("old", "default")], VERSION) and key


def test_outside_of_requests_everything_is_seen(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'serve.db'}")
    with database.read() as connection:
        assert projects.sees(connection, "a", {"project": "lab"}, "ft:x")
        token = CALLER.set(Caller("other", "key"))
        assert not projects.sees(connection, "a", {"project": "lab"}, "ft:x")
        CALLER.reset(token)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": "tokens=5"}, "name it, project=lab1"),
        ({"project": "lab", "budget": "words=5"}, "KIND one of requests, tokens, training_tokens, not 'words=5'"),
        ({"project": "lab", "budget": "tokens=-1"}, "not 'tokens=-1'"),
        ({"project": "a b"}, "project must be"),
    ],
)
def test_wrong_settings_of_a_project_are_named(settings, words):
    with pytest.raises(ConfigError, match=words):
        ServeConfig(**settings)
    assert ServeConfig(project="lab", budget="none").access() == {"budget": {}}
    assert ServeConfig(project="lab", readable="a, b").access() == {"readable": ["a", "b"]}
