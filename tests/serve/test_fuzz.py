"""No request that can be made up from the server's routes breaks it, and no broken training file is accepted."""

import pytest

from serve.store.auth import new_key
from serve.store.database import Database
from tests.processes import wait_until
from tests.serve.fuzz import broken_futures, fuzz_pages, fuzz_routes, route_table
from tests.serve.fuzz_files import fuzz_files
from tests.serve.known_objects import close, known_ids


@pytest.fixture(scope="module")
def known(served):
    """Objects of the server's own project; their session of Tinker's ends with the tests."""
    found = known_ids(served)
    yield found
    close(served, found)


def test_a_key_of_another_project_is_told_of_no_object_at_any_route(served, known):
    database = Database(served.database)
    key = new_key(database, "key-of-fuzz", "fuzz")
    database.close()
    wait_until(lambda: served.http(key).get("/v1/none").status_code == 404, "the key", pause_s=0.2)
    tally = fuzz_routes(served, known, requests=1, seed=2, key=key, foreign=True)
    assert tally.problems == []


def test_no_request_at_any_route_ends_in_an_error_of_the_servers(served, known):
    tally = fuzz_routes(served, known, requests=5, seed=1)
    fuzz_pages(served, tally)
    assert tally.problems == []
    assert tally.broken == 0
    assert set(route_table()) <= tally.routes
    assert {status // 100 for _, status in tally.replies} >= {2, 4}
    assert list(broken_futures(served, tally.begun)) == []
    assert served.http("").get("/healthz").status_code == 200


def test_every_broken_training_file_is_refused_with_line_and_reason(served):
    assert [problem for problem in fuzz_files(served, files=40, seed=1) if problem] == []
