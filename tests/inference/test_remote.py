"""Remote models stream through the OpenAI SDK from a real local server, and whatever it does wrong is one line."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import mlflow
import pytest

from inference import remote
from inference.model_pool import ModelPool
from inference.remote import Stream
from inference.transcript import Reply, Sampling
from registry import runs, versions
from registry.resolver import Resolver
from tests.processes import free_port, wait_until

KEY = "sk-parley-very-secret"
SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_new_tokens=9, seed=3)
ASKED = [{"role": "user", "content": "Ahoy?"}]


@dataclass
class Server:
    """An OpenAI-compatible server; ``behave`` writes the answer to each request that it gets."""

    address: str = ""
    behave: Callable[[Any], None] = lambda handler: None
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            server.keys.append(self.headers["Authorization"])
            server.behave(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.address = f"http://127.0.0.1:{http.server_port}/v1"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield server
        server.done.set()
        http.shutdown()


@pytest.fixture
def server(running, monkeypatch) -> Server:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    running.bodies.clear()
    running.keys.clear()
    return running


def head(handler: Any, status: int = 200, kind: str = "text/event-stream") -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.end_headers()


def piece(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {"role": "assistant"} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    whole = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(whole)}\n\n".encode()


def says(*texts: str, finish: str | None = "stop") -> Callable[[Any], None]:
    def behave(handler: Any) -> None:
        head(handler)
        usage = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []}
        for each in (piece(), *map(piece, texts), piece("", finish) if finish else b""):
            handler.wfile.write(each)
        handler.wfile.write(f"data: {json.dumps(usage)}\n\ndata: [DONE]\n\n".encode())

    return behave


def answer(server: Server, limit_s: float = 10.0, address: str = "") -> Reply:
    stream = Stream(("far-1", address or server.address), ASKED, SAMPLING, limit_s)
    wait_until(lambda: stream.read(0.05) or stream.reply.ended, "the answer ends", patience_s=30)
    return stream.reply


@pytest.mark.parametrize(("finish", "ended"), [("stop", "end"), ("length", "length"), ("content_filter", "end")])
def test_an_answer_streams_and_says_how_it_ended(server, finish, ended):
    server.behave = says("Ahoy", ", ", "matey 🦜", finish=finish)
    reply = answer(server)
    assert (reply.text, reply.ended, reply.error) == ("Ahoy, matey 🦜", ended, "")
    assert reply.first_token_s and 0 < reply.first_token_s <= reply.seconds
    [body] = server.bodies
    assert body == {"model": "far-1", "messages": ASKED, "stream": True, "temperature": 0.5, "top_p": 0.9,
                    "max_tokens": 9, "seed": 3}  # fmt: skip
    assert server.keys == [f"Bearer {KEY}"]


def test_text_comes_before_the_answer_ends(server):
    go_on = threading.Event()

    def behave(handler: Any) -> None:
        head(handler)
        handler.wfile.write(piece("Ahoy"))
        go_on.wait(120)
        handler.wfile.write(piece("!", "stop"))

    server.behave = behave
    stream = Stream(("far-1", server.address), ASKED, SAMPLING, 120)
    wait_until(lambda: stream.read(0.05) or stream.reply.text, "the first piece")
    assert (stream.reply.text, stream.reply.ended) == ("Ahoy", "")
    go_on.set()
    wait_until(lambda: stream.read(0.05) or stream.reply.ended, "the end")
    assert stream.reply.text == "Ahoy!"


def test_the_first_tokens_time_is_when_it_came_not_when_it_was_read(server):
    server.behave = says("Ahoy")
    stream = Stream(("far-1", server.address), ASKED, SAMPLING, 10)
    wait_until(lambda: stream._news.qsize() == 2, "the answer is here")
    late = time.perf_counter() - stream.start
    stream.read()
    assert stream.reply.ended == "end" and stream.reply.seconds < late


def fails(status: int) -> Callable[[Any], None]:
    def behave(handler: Any) -> None:
        head(handler, status, "application/json")
        handler.wfile.write(json.dumps({"error": {"message": f"your key {KEY} is bad", "type": "x"}}).encode())

    return behave


def body(text: bytes, kind: str = "text/event-stream") -> Callable[[Any], None]:
    def behave(handler: Any) -> None:
        head(handler, 200, kind)
        handler.wfile.write(text)

    return behave


def reset(handler: Any) -> None:
    head(handler)
    handler.wfile.write(piece("Aho"))
    handler.wfile.flush()
    handler.connection.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER of 0 s: closing resets the connection
    handler.connection.close()


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        (fails(400), "far-1: the server answers with status 400"),
        (fails(401), "far-1: the server refuses the key in OPENAI_API_KEY"),
        (fails(403), "far-1: the key in OPENAI_API_KEY may not use it"),
        (fails(404), "far-1: the server has no such model"),
        (fails(429), "far-1: the server's rate limit or quota is reached"),
        (fails(500), "far-1: the server answers with status 500"),
        (body(b""), "far-1: the server's answer broke off, or was none"),
        (body(b"<html>hello</html>", "text/html"), "far-1: the server's answer broke off, or was none"),
        (body(b"data: {nonsense\n\n"), "far-1: the answer broke off (JSONDecodeError)"),
        (body(b'data: {"choices": null}\n\n'), "far-1: the answer broke off (TypeError)"),
        (body(b"data: 5\n\n"), "far-1: the answer broke off ("),
        (body(b"\xff\xfe data: \xff\n\n"), "far-1: the "),
        (body(f'data: {{"error": {{"message": "bad {KEY}"}}}}\n\n'.encode()), "far-1: "),
        (says("half an ans", finish=None), "far-1: the server's answer broke off, or was none"),
        (reset, "far-1: the server can't be reached, or the connection broke off"),
    ],
)
def test_whatever_a_server_does_wrong_is_one_line_without_the_key(server, behave, error):
    server.behave = behave
    reply = answer(server)
    assert reply.ended == "error" and reply.error.startswith(error)
    assert KEY not in str(reply) and "\n" not in reply.error and len(reply.error) < 100
    assert len(server.bodies) == 1  # no second try


def test_what_came_before_the_connection_broke_is_kept(server):
    server.behave = reset
    assert answer(server).text == "Aho"
    server.behave = says("half an ans", finish=None)
    assert answer(server).text == "half an ans"


@pytest.mark.parametrize("begun", [False, True])
def test_a_server_that_falls_silent_is_not_waited_for_longer_than_the_limit(server, begun):
    def behave(handler: Any) -> None:
        if begun:
            head(handler)
            handler.wfile.write(piece("Aho"))
        server.done.wait(120)

    server.behave = behave
    reply = answer(server, limit_s=0.5)
    assert reply.ended == "error" and reply.seconds < 60
    assert reply.error == "far-1: the server did not answer in time"


def test_a_server_that_is_not_there_is_one_line(server):
    reply = answer(server, address=f"http://127.0.0.1:{free_port()}/v1")
    assert reply.error == "far-1: the server can't be reached, or the connection broke off"


def test_without_a_key_it_says_which_variable_to_set(server, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    assert answer(server).error == "far-1: set OPENAI_API_KEY to talk to it"
    assert server.bodies == []


def test_a_stream_that_was_closed_takes_no_more(server):
    ended = threading.Event()

    def behave(handler: Any) -> None:
        head(handler)
        try:
            while not ended.wait(0.01):
                handler.wfile.write(piece("x"))
        except OSError:
            ended.set()

    server.behave = behave
    stream = Stream(("far-1", server.address), ASKED, SAMPLING, 120)
    wait_until(lambda: stream.read(0.05) or stream.reply.text, "the first piece")
    stream.close()
    assert ended.wait(120), "the connection is closed"


@pytest.fixture(scope="module")
def registered(running, settle, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("remote")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        run = runs.start("remote", folder / "outputs")
        uri = versions.log_remote(run, "ft:far-1", "far-0", running.address, max_new_tokens=11)
        made = versions.register("far", uri, run.run_id, {"kind": "openai", "base_model": "far-0"}, "")
        yield f"far/{made.number}"


def find_base(name: str) -> Any:
    raise AssertionError("a remote base is not looked for")


def test_a_registered_remote_version_and_its_base_speak_in_a_panel(server, registered):
    server.behave = lambda handler: says(f"I am {server.bodies[-1]['model']}")(handler)
    panel = ModelPool(Resolver(find_base).look).open([registered])
    assert (panel.models[0].kind, panel.models[0].reference, panel.models[0].base_model) == ("openai", "far/1", "far-0")
    assert panel.way == "remote models stream beside; seed: best effort"
    *_, first = panel.generate("Ahoy?", SAMPLING)
    assert (first.replies[0].text, first.replies[0].ended) == ("I am ft:far-1", "end")
    *_, _second = panel.generate("And?", SAMPLING, [first], system="Be brief.")
    assert server.bodies[-1]["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Ahoy?"},
        {"role": "assistant", "content": "I am ft:far-1"},
        {"role": "user", "content": "And?"},
    ]
    *_, said = ModelPool(Resolver(find_base).look).open([f"{registered}:base"]).generate("Ahoy?", SAMPLING)
    assert said.replies[0].text == "I am far-0"


@pytest.mark.parametrize("how", ["time", "stopped"])
def test_a_panel_ends_remote_answers_by_its_limit_and_by_stop(server, registered, how):
    ended = threading.Event()

    def behave(handler: Any) -> None:
        head(handler)
        handler.wfile.write(piece("Aho"))
        ended.wait(120)

    server.behave = behave
    heard: list[str] = []
    panel, limit_s = ModelPool(Resolver(find_base).look).open([registered]), 4.0 if how == "time" else 240
    asking = panel.generate("Ahoy?", SAMPLING, stop=lambda: how == "stopped" and bool(heard), limit_s=limit_s)
    for said in asking:
        heard += [said.replies[0].text] if said.replies[0].text else []
    ended.set()
    assert (said.replies[0].ended, said.replies[0].text) == (how, "Aho")


def test_a_panel_waiting_for_a_remote_answer_holds_nobody_up(server, registered):
    ended = threading.Event()
    server.behave = lambda handler: ended.wait(120)
    pool = ModelPool(Resolver(find_base).look)
    asking = pool.open([registered]).generate("Ahoy?", SAMPLING)
    next(asking)
    with pool.lock:
        pass
    wait_until(lambda: server.bodies, "the request")
    ended.set()
    asking.close()


def test_an_abandoned_panel_closes_its_streams(server, registered, monkeypatch):
    closed: list[bool] = []
    monkeypatch.setattr(remote.Stream, "close", lambda self: closed.append(True))
    server.behave = says("Ahoy")
    asking = ModelPool(Resolver(find_base).look).open([registered]).generate("Ahoy?", SAMPLING)
    next(asking)
    asking.close()
    assert closed
    wait_until(lambda: server.bodies, "the request")


def whole(handler: Any) -> None:
    said = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": " Ahoy! "}}
    head(handler, 200, "application/json")
    done = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [said]}
    handler.wfile.write(json.dumps(done).encode())


def test_a_registered_remote_version_loads_as_any_mlflow_model(server, registered, monkeypatch):
    server.behave = whole
    loaded = mlflow.pyfunc.load_model(f"models:/{registered}")
    assert list(loaded.predict(["Ahoy?", "And?"])) == ["Ahoy!", "Ahoy!"]
    loaded.predict(["Ahoy?"], params={"max_new_tokens": 3, "do_sample": True, "temperature": 0.4, "seed": 8})
    asked = [{key: each[key] for key in ("model", "max_tokens", "temperature", "seed")} for each in server.bodies]
    assert asked == [
        {"model": "ft:far-1", "max_tokens": 11, "temperature": 0.0, "seed": 0},
        {"model": "ft:far-1", "max_tokens": 11, "temperature": 0.0, "seed": 0},
        {"model": "ft:far-1", "max_tokens": 3, "temperature": 0.4, "seed": 8},
    ]
    assert server.bodies[0]["messages"] == ASKED
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(Exception, match="set OPENAI_API_KEY to use ft:far-1"):
        loaded.predict(["Ahoy?"])


def test_neither_key_nor_password_is_kept_with_a_remote_version(server, store, tmp_path):
    run = runs.start("remote", tmp_path / "outputs")
    uri = versions.log_remote(run, "m", "m", "http://user:hidden@127.0.0.1/v1")
    kept = "".join(path.read_text() for path in (tmp_path / "mlruns").rglob("*") if path.is_file())
    assert uri.startswith("models:/m-") and "127.0.0.1/v1" in kept
    assert KEY not in kept and "hidden" not in kept
