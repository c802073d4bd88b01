"""The page as programs and strangers meet it: three named endpoints, caps that hold, and nothing of the server's."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from data.chat_template import Turns
from inference.transcript import Sampling
from registry.votes import store as vote_store
from tests.demo.conftest import serve_page

BASE, TUNED = "pirate/1:base", "pirate/1"
GOOD = ("Hello there.", BASE, TUNED, "", "", 0.7, 1.0, 6, 7, "", "")
NAMES = (
    "prompt",
    "left",
    "right",
    "third",
    "fourth",
    "temperature",
    "top_p",
    "max_new_tokens",
    "seed",
    "conversation",
    "system",
)
INSIDE = ("Traceback", 'File "', "site-packages", ".py")


@pytest.fixture(scope="module")
def client(served):
    return Client(served.address, verbose=False)


def bad(**values):
    """A good request but for ``values``."""
    return [values.get(name, good) for name, good in zip(NAMES, GOOD, strict=True)]


def leaks(text, served):
    """What of the server's inside stands in ``text``."""
    return [word for word in (*INSIDE, str(served.folder), str(served.folder.parent)) if word in text]


# What programs get


def test_there_are_three_endpoints_and_each_says_what_it_does(client):
    found = client.view_api(return_format="dict", print_info=False)
    assert set(found["named_endpoints"]) == {"/compare", "/versions", "/vote"}
    assert found["unnamed_endpoints"] == {}
    docs = {name: end["description"] for name, end in found["named_endpoints"].items()}
    assert "one to four versions answer" in docs["/compare"] and "left, right, tie or both_bad" in docs["/vote"]
    assert [p["parameter_name"] for p in found["named_endpoints"]["/compare"]["parameters"]] == list(NAMES)


def test_the_versions_are_listed_with_what_can_be_compared(client, served):
    listed = client.predict(api_name="/versions")
    assert [(each["reference"], each["base"], each["verdict"]) for each in listed] == [(TUNED, BASE, "healthy")]
    assert not leaks(json.dumps(listed), served)
    assert client.predict("nobody", api_name="/versions") == []


def test_an_answer_streams_and_is_the_one_that_the_models_give(client, served):
    job = client.submit(*bad(max_new_tokens=40), api_name="/compare")
    last = job.result(timeout=60)
    frames = job.outputs()
    assert len(frames) > 2 and [frame["done"] for frame in frames] == [False] * (len(frames) - 1) + [True]
    texts = [frame["replies"][1]["text"] for frame in frames]
    assert len(set(texts)) > 2 and [len(text) for text in texts] == sorted(len(text) for text in texts)
    *_, alone = served.pool.open([BASE, TUNED]).generate(GOOD[0], Sampling(max_new_tokens=40))
    assert [reply["token_ids"] for reply in last["replies"]] == [list(reply.token_ids) for reply in alone.replies]
    assert [voice["reference"] for voice in last["models"]] == [BASE, TUNED]
    assert "one batch" in last["execution"] and not leaks(json.dumps(last), served)


def test_a_conversation_goes_on_with_its_id_and_is_another_without(client, served):
    first = client.predict(*GOOD, api_name="/compare")
    again = client.predict(*bad(conversation=first["conversation"]), api_name="/compare")
    fresh = client.predict(*GOOD, api_name="/compare")
    assert again["conversation"] == first["conversation"] != fresh["conversation"]
    turns: Turns = tuple((e.prompt, e.replies[0].text) for e in history(served, first))
    assert len(turns) == 2 and len(history(served, fresh)) == 1
    assert fresh["replies"][1]["token_ids"] == first["replies"][1]["token_ids"]


def history(served, answer):
    return served.sessions.known(f"api {answer['conversation']}").exchanges


def test_a_vote_lands_in_mlflow_with_both_versions(client, served):
    answer = client.predict(*bad(prompt="Which way?"), api_name="/compare")
    client.predict(answer["conversation"], "right", "saltier", api_name="/vote")
    assert served.box.flush(30)
    vote = next(each for each in vote_store.load("pirate") if each.prompt == "Which way?")
    assert (vote.choice, vote.comment, vote.blind, vote.versions) == ("right", "saltier", False, (BASE, TUNED))
    assert list(vote.right.reply.token_ids) == answer["replies"][1]["token_ids"]


def test_a_refused_request_does_not_end_the_conversation(client, served):
    first = client.predict(*GOOD, api_name="/compare")
    for wrong in ({"temperature": "hot"}, {"seed": -1}, {"prompt": ""}):
        with pytest.raises(AppError):
            client.predict(*bad(conversation=first["conversation"], **wrong), api_name="/compare")
    assert len(history(served, first)) == 1


# Caps


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"prompt": "x" * 2001}, "the prompt has 2,001 characters"),
        ({"prompt": " \n "}, "the prompt is blank"),
        ({"prompt": 5}, "the prompt must be text"),
        ({"prompt": None}, "the prompt must be text"),
        ({"prompt": "bell \x07"}, "no text (U+0007)"),
        ({"left": "", "right": ""}, "choose a version"),
        ({"left": ["a"]}, "a version is named by a short text"),
        ({"left": {"path": "/etc/passwd"}}, "a version is named by a short text"),
        ({"left": "x" * 301}, "a version is named by a short text"),
        ({"temperature": "hot"}, "temperature must be a number"),
        ({"temperature": math.nan}, "temperature must be a number"),
        ({"temperature": math.inf}, "temperature must be a number"),
        ({"top_p": -0.1}, "top_p must be a number"),
        ({"max_new_tokens": 201}, "max_new_tokens must be a whole number from 1 to 200"),
        ({"max_new_tokens": 1e99}, "max_new_tokens must be a whole number"),
        ({"max_new_tokens": True}, "max_new_tokens must be a whole number"),
        ({"seed": 10**30}, "seed must be a whole number"),
        ({"conversation": "mine"}, "there is no such conversation"),
        ({"conversation": {"a": 1}}, "conversation is the text"),
        ({"conversation": "../../etc"}, "conversation is the text"),
    ],
)
def test_what_is_out_of_bounds_is_refused_in_one_line(served, wrong, words):
    said = served.call("compare", *bad(**wrong))
    assert said.startswith("event: error") and words in json.loads(said.partition("data: ")[2])["error"]
    assert not leaks(said, served)


@pytest.mark.parametrize(
    "reference", ["pirate/9", "nobody/1", "../../etc/passwd", "file:///etc", "runs:/x", "models:/m-123", "pirate/1:99"]
)
def test_a_version_that_can_not_be_had_fails_alone_and_names_itself(served, reference):
    said = served.call("compare", *bad(left=reference))
    left, right = json.loads(said.strip().rpartition("data: ")[2])[0]["replies"]
    assert left["ended"] == "error" and reference.rpartition("/")[2].partition(":")[0] in left["error"]
    assert right["ended"] in ("end", "length") and right["token_ids"]
    assert not leaks(said, served)


def test_turns_panes_and_the_budget_are_capped(tiny_base, served, monkeypatch):
    with serve_page(served.folder, turns=2, panes=2, tokens_per_minute=60) as small:
        first = small.call("compare", *bad(max_new_tokens=2))
        token = json.loads(first.strip().rpartition("data: ")[2])[0]["conversation"]
        assert '"done": true' in small.call("compare", *bad(max_new_tokens=2, conversation=token))
        assert "has its 2 prompts" in small.call("compare", *bad(max_new_tokens=2, conversation=token))
        assert "it must be 1 to 2" in small.call("compare", *bad(third=BASE, max_new_tokens=2))
        small.sessions.budget.take(60)
        assert "this minute" in small.call("compare", *bad(max_new_tokens=30))


def test_a_vote_on_nothing_or_of_no_kind_is_refused(served):
    answer = json.loads(served.call("compare", *GOOD).strip().rpartition("data: ")[2])[0]
    for values, words in [
        (("nobody", "left", ""), "no such conversation"),
        ((5, 5, 5), "conversation is the text"),
        ((answer["conversation"], "best", ""), "a vote is one of"),
        ((answer["conversation"], "left", "x" * 501), "at most 500"),
    ]:
        said = served.call("vote", *values)
        assert said.startswith("event: error") and words in said and not leaks(said, served)


def test_a_burst_is_answered_as_far_as_the_queue_is_long_and_the_rest_is_told_to_wait(served):
    with served.pool.lock, ThreadPoolExecutor(30) as crowd:  # the models are busy, so nobody leaves the queue meanwhile
        body = {"data": GOOD}
        joined = list(crowd.map(lambda _: served.ask("/gradio_api/call/compare", body), range(30)))
    statuses = [status for status, _ in joined]
    assert set(statuses) == {200, 503} and served.sessions.config.queue <= statuses.count(200) <= 10
    assert "full" in next(text for status, text in joined if status == 503)
    events = [json.loads(text)["event_id"] for status, text in joined if status == 200]
    with ThreadPoolExecutor(len(events)) as crowd:
        ends = list(crowd.map(lambda event: served.ask(f"/gradio_api/call/compare/{event}")[1], events))
    assert all("event: complete" in end for end in ends)


def test_nobody_gets_past_the_queue(served):
    for path in ("run/compare", "api/compare", "run/predict"):
        status, said = served.ask(f"/gradio_api/{path}", {"data": GOOD, "fn_index": 0})
        assert status >= 400 and "token_ids" not in said and not leaks(said, served)


# What strangers get


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file%3D/etc/passwd",
        "/gradio_api//file=/etc/passwd",
        "/gradio_api/FILE=/etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/file={database}",
        "/gradio_api/proxy=http://127.0.0.1:{port}/",
        "/static/../../../../../../../etc/passwd",
        "/assets/..%2f..%2f..%2f..%2f..%2fetc/passwd",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/custom_component/../x",
        "/gradio_api/run-history/records",
        "/monitoring",
        "/monitoring/summary",
    ],
)
def test_no_file_and_no_other_server_is_reached(served, path):
    port = served.address.rstrip("/").rpartition(":")[2]
    status, said = served.ask(path.format(database=served.folder / "mlflow.db", port=port))
    assert status in (403, 404) and "root:" not in said and "SQLite" not in said and not leaks(said, served)


def test_nothing_can_be_uploaded_and_no_request_is_large(served):
    form = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--b--\r\n'
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert served.ask("/gradio_api/upload", raw=form, headers=kind)[0] == 404
    assert served.ask("/gradio_api/component_server", {"data": 1})[0] == 404
    large = b'{"data": ["' + b"x" * 200_000 + b'"]}'
    assert served.ask("/gradio_api/call/compare", raw=large)[0] == 413
    chunked = {"transfer-encoding": "chunked"}
    assert served.ask("/gradio_api/call/compare", raw=b"30d40\r\n" + b"x" * 200_000 + b"\r\n0\r\n\r\n", headers=chunked)[0] == 413  # fmt: skip # noqa: E501


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"{}", b'{"data": "x"}', b'{"data": {}}', b"\xff\xfe", b"null"])
def test_a_body_that_is_none_is_refused(served, raw):
    for path in ("call/compare", "queue/join"):
        status, said = served.ask(f"/gradio_api/{path}", raw=raw)
        assert status in (400, 422) and not leaks(said, served)


def test_events_of_the_page_take_nonsense_without_telling_anything(served):
    """They are called as a stranger can, whatever ``private`` means."""
    events = json.loads(served.ask("/config")[1])["dependencies"]
    distinct = {event["api_name"].rstrip("_0123456789"): event for event in events if event["backend_fn"]}
    assert {
        "send",
        "regenerate",
        "show",
        "describe",
        "report",
        "select_step",
        "share_link",
        "preference_pairs",
        "standings",
    } < set(distinct)
    junk = (None, 5, "x", {"path": "/etc/passwd"})
    work = [(event, value) for event in distinct.values() for value in (junk if event["inputs"] else junk[:1])]

    def send(number):
        event, value = work[number]
        session = f"junk{number}"
        body = {"fn_index": event["id"], "data": [value] * len(event["inputs"]), "session_hash": session}
        if not event["queue"]:
            return served.ask("/gradio_api/run/predict", body)
        status, said = served.ask("/gradio_api/queue/join", body)
        return served.ask(f"/gradio_api/queue/data?session_hash={session}") if status == 200 else (status, said)

    for number, (_, value) in enumerate(work):
        status, said = send(number)
        assert status in (200, 400, 422) and not leaks(said, served), (work[number][0]["api_name"], value, said)
    assert '"done": true' in served.call("compare", *GOOD)


def test_an_event_that_is_none_is_refused(served):
    for body in ({"fn_index": 9999}, {"fn_index": -1}, {"fn_index": "x"}, {}):
        status, said = served.ask("/gradio_api/queue/join", {"data": [], "session_hash": "s", **body})
        assert status >= 400 and not leaks(said, served)


# Passwords


def test_a_password_keeps_everything_but_the_way_in_shut(served):
    with serve_page(served.folder, password="open sesame") as page:
        for path, body in [
            ("/config", None),
            ("/gradio_api/info", None),
            ("/gradio_api/queue/join", {"data": GOOD, "fn_index": 0, "session_hash": "s"}),
            ("/gradio_api/call/compare", {"data": GOOD}),
            ("/gradio_api/run/predict", {"data": GOOD, "fn_index": 0}),
            ("/gradio_api/queue/data?session_hash=s", None),
        ]:
            status, said = page.ask(path, body)
            assert status == 401 and "pirate" not in said, path
        assert '"auth_required":true' in page.ask("/")[1] and "tiny_base" not in page.ask("/")[1]
        with pytest.raises(Exception, match=r"(?i)credentials|login|auth"):
            Client(page.address, verbose=False, auth=("parley", "open barley"))
        inside = Client(page.address, verbose=False, auth=("parley", "open sesame"))
        assert inside.predict(*GOOD, api_name="/compare")["done"]


def test_a_reader_who_goes_away_ends_the_answer_and_the_next_one_is_answered(served):
    status, said = served.ask("/gradio_api/call/compare", {"data": bad(max_new_tokens=200)})
    assert status == 200 and json.loads(said)["event_id"]  # and nobody ever reads it
    done = threading.Event()
    threading.Thread(target=lambda: (served.call("compare", *GOOD), done.set()), daemon=True).start()
    assert done.wait(240)
