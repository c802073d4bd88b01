"""An API is named without secrets, and what goes wrong there is one line that says what to do."""

import traceback

import pytest

from data.errors import ConfigError
from openai_jobs.endpoint import ApiError, Endpoint, from_environment, jobs_closed, redact, translate_errors
from tests.fake_openai import KEY, error
from tests.processes import free_port


def refusal(fake, answer):
    """What becomes of an answer to a look at a job."""
    fake.refusals["GET /fine_tuning/jobs/j"] = answer
    endpoint = from_environment()
    client = endpoint.client().with_options(max_retries=0)
    with pytest.raises(ApiError) as caught, translate_errors(endpoint, "retrieve j"):
        client.fine_tuning.jobs.retrieve("j")
    whole = "".join(traceback.format_exception(caught.value))
    assert KEY not in whole and "AuthenticationError" not in whole
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "message", "code", "words"),
    [
        (401, f"Incorrect API key provided: {KEY}.", "invalid_api_key", "refuses the key in OPENAI_API_KEY (401)"),
        (429, "You exceeded your quota", "insufficient_quota", "has no credit left"),
        (404, "No such job", "not_found", "refuses to retrieve j (404, not_found): No such job"),
        (500, f"sorry, {KEY}", "", "refuses to retrieve j (500): sorry, ***"),
    ],
)
def test_a_refusal_is_one_line_without_the_key(status, message, code, words, fake_openai):
    refused = refusal(fake_openai(), error(status, message, code))
    assert words in str(refused) and refused.status == status


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b'{"error": "plain"}', b'{"error": {"message": 7}}', b"[]"])
def test_an_answer_in_no_known_form_is_still_one_line(body, fake_openai):
    fake = fake_openai()
    assert str(refusal(fake, (502, {}, body))).startswith(f"{fake.address} refuses to retrieve j (502)")


@pytest.mark.parametrize("body", [b"<html>", b'{"id": ', b"null"])
def test_an_unreadable_body_with_status_200_is_no_answer(body, fake_openai):
    fake, endpoint = fake_openai(), from_environment()
    fake.refusals["GET /fine_tuning/jobs/j"] = (200, {}, body)
    with pytest.raises(ApiError, match="can't be read") as caught, translate_errors(endpoint, "retrieve j"):
        assert endpoint.client().fine_tuning.jobs.retrieve("j").status
    assert not caught.value.is_rejection


def test_a_server_that_is_not_there_is_reported_as_unreachable(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    endpoint = from_environment()
    with pytest.raises(ApiError, match="can't be reached") as caught, translate_errors(endpoint, "list files"):
        endpoint.client().with_options(max_retries=0).files.list()
    assert not caught.value.is_rejection


def test_a_missing_key_is_named(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY to your key for OpenAI"):
        from_environment()


def test_an_address_is_kept_without_what_is_secret_in_it(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://me:word@api.example.com/v1/?key=secret#f")
    endpoint = from_environment()
    assert endpoint.url == "https://api.example.com/v1" and not endpoint.is_openai
    assert Endpoint("https://api.openai.com/v1").is_openai and Endpoint().url == "https://api.openai.com/v1"
    assert "hidden" not in repr(Endpoint("http://x", "hidden"))


def test_whatever_looks_like_a_key_is_redacted(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "very-odd.word")
    text = "no very-odd.word, no sk-abc123, no sk-ab***********yz, no Bearer abc.def no mine\nbut sketchy"
    assert redact(text, "mine") == "no ***, no ***, no ***, no Bearer *** no *** but sketchy"
    assert len(redact("long " * 1000)) == 300


def test_closed_fine_tuning_is_explained_with_an_alternative():
    refused = ApiError("no", 403, "", "Fine-tuning is not available for this organization.")
    said = str(jobs_closed(Endpoint(), refused))
    for words in ("403", "Fine-tuning is not available", "2027-01-06", "make serve", "provider=parley"):
        assert words in said
    assert "make serve" in str(jobs_closed(Endpoint("http://other/v1"), refused))
