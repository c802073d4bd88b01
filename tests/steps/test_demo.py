"""The page as a process: it opens beside a taken port, answers, and is closed by Ctrl-C."""

import json
import re
import signal
import socket
from urllib.request import Request, urlopen

import pytest

from data.errors import ConfigError
from steps.demo import demo
from tests.small_version import register_adapter

CLOSED = "http://127.0.0.1:9"  # a proxy that nobody listens at: offline, whatever this machine's network is


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def ask(address, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(address, data, {"content-type": "application/json"}), timeout=240) as answer:
        return answer.read().decode()


def call(address, name, *values):
    event = json.loads(ask(f"{address}gradio_api/call/{name}", {"data": values}))["event_id"]
    return ask(f"{address}gradio_api/call/{name}/{event}")


def test_the_page_opens_without_a_link_answers_and_ends_with_ctrl_c(tiny_base, store, tmp_path, launch, taken):
    register_adapter(tiny_base, tmp_path)
    step = launch(tmp_path, "steps.demo", ["--port", taken, "--share", "true", "--threads", 1], https_proxy=CLOSED)
    address = step.wait_for(lambda: re.search(r"Parley: (\S+)", step.stdout), "the page's address")[1]
    assert address != f"http://127.0.0.1:{taken}/" and f"Port {taken} is taken" in step.stdout
    step.wait_for(lambda: "Ctrl-C stops it." in step.stdout, "the last line")
    assert "No public link could be made: Gradio's share service can't be reached" in step.stdout
    assert "password" not in step.stdout and "Parley" in ask(address)
    said = call(address, "compare", "Hello.", "pirate/1:base", "pirate/1", "", "", 0.7, 1.0, 4, 7, "", "")
    assert '"done": true' in said and '"error": ""' in said, said
    assert '"reference": "pirate/1"' in call(address, "versions", "")
    step.signal(signal.SIGINT)
    assert step.wait() == 0, step.stderr
    assert "The chat page is closed." in step.stdout and "Traceback" not in step.stderr
    assert list(tmp_path.glob(".gradio")) == []


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--port", "80"], "port must be from 1024"),
        (["--share", "maybe"], "share must be true or false"),
        (["--password", "hunter2"], "password must be one of auto, off"),
        (["--turns", "0"], "turns must be a whole number"),
        (["--memory_gb", "nan"], "memory_gb must be above 0"),
        (["--remote_tokens", "-1"], "remote_tokens must be at least 0"),
        (["--prot", "8000"], "did you mean port"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_opens(argv, words):
    with pytest.raises(ConfigError, match=words):
        demo(argv)
