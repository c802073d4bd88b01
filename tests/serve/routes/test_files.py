"""``/v1/files`` through the real SDK."""

import json

import openai
import pytest

from tests.serve.served import error_of, refused, training_lines, upload

BROKEN = {
    "no JSON": (b"{nothing}\n", "row 13: "),
    "no object": (b"[1, 2]\n", "row 13: "),
    "no messages": (b'{"text": "a"}\n', "row 13: "),
    "a wrong role": (b'{"messages": [{"role": "pirate", "content": "a"}]}\n', "row 13: "),
    "no answer": (b'{"messages": [{"role": "user", "content": "a"}]}\n', "row 13: "),
    "a wrong weight": (
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 2}]}\n',
        "row 13: ",
    ),
    "no UTF-8": (b'{"messages": "\xff"}\n', "UTF-8"),
}


@pytest.fixture(scope="module")
def ids(served):
    """Five files of a purpose that no other test has, oldest first."""
    client = served.client()
    return [upload(client, b'{"number": %d}\n' % i, f"{i}.jsonl", "vision") for i in range(5)]


def test_a_file_comes_back_byte_for_byte(client):
    content = training_lines()
    made = client.files.create(file=("rows.jsonl", content), purpose="fine-tune")
    assert (made.filename, made.purpose, made.bytes, made.status) == (
        "rows.jsonl",
        "fine-tune",
        len(content),
        "processed",
    )
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == content
    assert client.files.wait_for_processing(made.id, poll_interval=0.1) == made


def test_a_file_of_several_parts_comes_back_byte_for_byte(client):
    content = bytes(range(256)) * 10_000
    assert client.files.content(upload(client, content, "a.bin", "user_data")).content == content


def test_pages_show_every_file_once_newest_first_or_oldest_first(client, ids):
    page = client.files.list(purpose="vision", limit=2)
    assert page.has_more and [each.id for each in page.data] == ids[:-3:-1]
    assert [each.id for each in client.files.list(purpose="vision", limit=2)] == ids[::-1]
    assert [each.id for each in client.files.list(purpose="vision", limit=2, order="asc")] == ids
    assert [each.id for each in client.files.list(purpose="vision", after=ids[1])] == ids[:1]
    assert not client.files.list(purpose="evals").data


def test_a_page_after_a_file_that_there_is_not_is_refused(client):
    with refused(openai.BadRequestError, "file-nowhere", param="after"):
        client.files.list(after="file-nowhere")


def test_a_deleted_file_is_gone(client):
    file_id = upload(client)
    done = client.files.delete(file_id)
    assert (done.id, done.deleted) == (file_id, True)
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with refused(openai.NotFoundError, file_id, code="not_found"):
            call(file_id)


def test_a_file_can_be_given_a_time_to_live(client):
    made = client.files.create(
        file=("a.txt", b"a"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    with refused(openai.BadRequestError, "3600", param="expires_after"):
        client.files.create(file=("a", b"a"), purpose="batch", expires_after={"anchor": "created_at", "seconds": 60})


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_training_file_is_refused_with_line_and_reason(client, kind):
    line, reason = BROKEN[kind]
    with refused(openai.BadRequestError, reason, param="file", code="invalid_training_file"):
        upload(client, training_lines() + line)


def test_every_broken_line_of_a_few_is_named_and_then_no_more(client):
    with refused(openai.BadRequestError, "row 1:", "row 5:", "...", code="invalid_training_file"):
        upload(client, b"{}\n" * 20)


def test_an_empty_training_file_is_refused(client):
    with refused(openai.BadRequestError, code="invalid_training_file"):
        upload(client, b"\n")


def test_preferences_are_checked_line_by_line(client):
    row = {"input": {"messages": [{"role": "user", "content": "a"}]},
           "preferred_output": [{"role": "assistant", "content": "b"}],
           "non_preferred_output": [{"role": "assistant", "content": "c"}]}  # fmt: skip
    assert upload(client, json.dumps(row).encode()).startswith("file-")
    for key, value in (("input", {}), ("preferred_output", []), ("non_preferred_output", [{"role": "assistant"}])):
        with refused(openai.BadRequestError, "row 2", code="invalid_training_file"):
            upload(client, "\n".join([json.dumps(row), json.dumps({**row, key: value})]).encode())
    with refused(openai.BadRequestError, "row 2", "its keys must be", code="invalid_training_file"):
        upload(client, json.dumps(row).encode() + b"\n" + training_lines(1))


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"data": {"purpose": "batch"}}, "file"), ({"files": {"file": b"a"}}, "purpose"),
     ({"data": {"purpose": "art"}, "files": {"file": b"a"}}, "purpose"), ({"json": {"purpose": "batch"}}, "file")],
)  # fmt: skip
def test_an_upload_that_is_none_is_refused(served, fields, param):
    reply = served.http().post("/v1/files", **fields)
    assert reply.status_code == 400
    assert error_of(reply)["param"] == param


def test_an_upload_that_is_sent_again_with_its_key_makes_one_file(client):
    again = {"Idempotency-Key": "upload-1"}
    first = client.files.create(file=("once.txt", b"once"), purpose="user_data", extra_headers=again)
    assert client.files.create(file=("once.txt", b"once"), purpose="user_data", extra_headers=again) == first
    with refused(openai.ConflictError, "Idempotency-Key", code="idempotency_error"):
        client.files.create(file=("once.txt", b"twice"), purpose="user_data", extra_headers=again)
    assert [each.filename for each in client.files.list(purpose="user_data")].count("once.txt") == 1
