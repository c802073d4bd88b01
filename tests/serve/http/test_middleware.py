"""Keys, rate limits, body limits and headers, and the pages that need no key."""

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.store.auth import drop_key, new_key
from serve.store.database import Database
from tests.processes import wait_until
from tests.serve.served import error_of, refused

MESSAGES = [{"role": "user", "content": "Hello."}]
REQUESTS, TOKENS = 8, 1000


@pytest.fixture(scope="module")
def strict(serve):
    """A server with low limits."""
    return serve(requests_per_minute=REQUESTS, tokens_per_minute=TOKENS, file_mb=1, body_mb=1)


@pytest.fixture
def key(strict, request):
    """A key of this test alone, made as the owner of a running server makes one."""
    database = Database(strict.database)
    made = new_key(database, request.node.name)
    database.close()
    wait_until(lambda: strict.http(made).get("/v1/none").status_code != 401, "the new key to be taken", pause_s=0.2)
    return made


# Keys


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "sk-of-the-tests-own"])
def test_a_request_without_a_key_is_refused(served, header):
    reply = served.http("").get("/v1/models", headers={"authorization": header} if header is not None else {})
    assert reply.status_code == 401
    assert error_of(reply)["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    "key", ["sk-wrong", "sk-of-the-tests-ow", "sk-of-the-tests-own2", "ключ".encode().decode("latin-1")]
)
def test_a_wrong_key_is_refused(served, key):
    reply = served.http("").get("/v1/models", headers={b"authorization": b"Bearer " + key.encode("latin-1")})
    assert reply.status_code == 401
    assert error_of(reply)["code"] == "invalid_api_key"


def test_the_sdk_says_that_a_key_is_wrong(served):
    with refused(openai.AuthenticationError, "Incorrect API key", code="invalid_api_key"):
        served.client("sk-wrong").models.list()


def test_a_key_is_kept_as_a_digest_only(strict, key):
    kept = b"".join(path.read_bytes() for path in strict.folder.iterdir() if path.name.startswith("serve.db"))
    assert b"digest" in kept and key.encode() not in kept


def test_a_key_that_is_taken_back_is_refused_by_the_running_server(strict, key, request):
    database = Database(strict.database)
    drop_key(database, request.node.name)
    database.close()
    wait_until(lambda: strict.http(key).get("/v1/none").status_code == 401, "the key to be refused", pause_s=0.2)


# Limits


def test_each_response_says_what_is_left(strict, key):
    left = []
    for _ in range(2):
        headers = strict.http(key).get("/v1/files").headers
        assert headers["x-ratelimit-limit-requests"] == str(REQUESTS)
        assert headers["x-ratelimit-limit-tokens"] == headers["x-ratelimit-remaining-tokens"] == str(TOKENS)
        assert headers["x-ratelimit-reset-requests"].endswith("s") and headers["x-request-id"].startswith("req_")
        assert headers["openai-processing-ms"].isdigit() and headers["openai-version"]
        left.append(int(headers["x-ratelimit-remaining-requests"]))
    assert left[1] == left[0] - 1


def test_one_request_too_many_is_refused_with_the_time_to_wait(strict, key):
    client = strict.client(key)
    with pytest.raises(openai.RateLimitError) as refusal:
        for _ in range(REQUESTS + 1):
            client.files.list()
    assert refusal.value.body["type"] == "requests" and refusal.value.code == "rate_limit_exceeded"
    headers = refusal.value.response.headers
    assert 0 < int(headers["retry-after-ms"]) <= 60_000 / REQUESTS
    assert 1 <= int(headers["retry-after"]) <= 13
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert strict.client().models.list().data, "another key has limits of its own"


def test_tokens_are_counted_and_what_was_not_used_is_given_back(strict, key):
    chat = strict.client(key).chat.completions
    raw = chat.with_raw_response.create(
        model="gpt-4o-mini", messages=MESSAGES, max_tokens=900, stop=["e", "a", ".", "o"]
    )
    used = raw.parse().usage.total_tokens
    assert used < 100
    with refused(openai.RateLimitError, f"{TOKENS:,} tokens per minute", code="rate_limit_exceeded", type="tokens"):
        for _ in range(REQUESTS - 1):
            chat.create(model="gpt-4o-mini", messages=MESSAGES * 50, max_tokens=1)


# Sizes


def test_what_is_too_large_is_refused(strict):
    client = strict.client()
    with refused(openai.APIStatusError, "1 MB", code="request_too_large"):
        client.files.create(file=("a.bin", b"a" * (2 << 20)), purpose="user_data")
    with pytest.raises(openai.APIStatusError) as refusal:
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "a" * (2 << 20)}])
    assert refusal.value.status_code == 413
    chunks = (b"a" * (1 << 16) for _ in range(40))  # no length is announced
    reply = strict.http().post("/v1/chat/completions", content=chunks)
    assert reply.status_code == 413 and error_of(reply)["code"] == "request_too_large"


# Addresses, and pages


def test_unknown_addresses_are_answered_in_the_envelope(served):
    http = served.http()
    assert error_of(http.get("/v1/nothing"))["code"] == "unknown_url"
    reply = http.put("/v1/files")
    assert reply.status_code == 405 and error_of(reply) and reply.headers["allow"]
    assert error_of(served.http("").get("/elsewhere"))["code"] == "unknown_url"


def test_the_health_check_answers(served):
    assert served.http("").get("/healthz").json() == {"status": "ok"}


def test_metrics_count_requests_jobs_and_what_the_engine_does(served, client):
    before = served.metric('parley_requests_total{method="GET",route="/v1/models",status="200"}')
    client.models.list()
    assert served.metric('parley_requests_total{method="GET",route="/v1/models",status="200"}') == before + 1
    page = served.http("").get("/metrics")
    families = {family.name for family in text_string_to_metric_families(page.text)}
    assert {"parley_requests", "parley_request_seconds", "parley_first_token_seconds", "parley_retries",
            "parley_engine", "parley_jobs"} <= families  # fmt: skip
    answers = served.metric('parley_engine{what="answers"}')
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=2)
    assert served.metric('parley_engine{what="answers"}') == answers + 1


def test_a_clients_retries_are_counted(served, client):
    before = served.metric("parley_retries_total")
    client.models.list(extra_headers={"x-stainless-retry-count": "2"})
    assert served.metric("parley_retries_total") == before + 1


def test_the_page_for_people_names_every_route(served):
    http = served.http("")
    paths = http.get("/openapi.json").json()["paths"]
    page = http.get("/docs").text
    assert {"/v1/files", "/v1/fine_tuning/jobs", "/v1/chat/completions", "/v1/batches", "/v1/models"} <= set(paths)
    assert [path for path in paths if path not in page] == []
    assert "http://" not in page and "https://" not in page, "it needs no other server"
