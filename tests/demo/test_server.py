"""What the owner of a page is told, and that asking for a public link never holds the page up."""

import socket
import time
from dataclasses import replace

import pytest

from demo import server
from demo.config import DemoConfig

SHARED = DemoConfig(share=True)
LOCAL, PUBLIC = "http://127.0.0.1:7860/", "https://abc.gradio.live"


@pytest.fixture(autouse=True)
def nobodys_password(monkeypatch):
    monkeypatch.delenv("PARLEY_PASSWORD", raising=False)
    monkeypatch.delenv("GRADIO_SHARE_SERVER_ADDRESS", raising=False)


def test_a_page_for_this_computer_has_no_password_and_two_lines():
    assert server.make_password(DemoConfig()) == ""
    assert server.announcement(DemoConfig(), LOCAL, None, "") == [f"Parley: {LOCAL}", "Ctrl-C stops it."]


def test_a_shared_page_has_a_password_of_its_own_each_time_unless_one_is_given(monkeypatch):
    one, other = server.make_password(SHARED), server.make_password(SHARED)
    assert one != other and min(len(one), len(other)) >= 12
    assert server.make_password(replace(SHARED, password="off")) == ""
    monkeypatch.setenv("PARLEY_PASSWORD", "mine")
    assert server.make_password(SHARED) == "mine"


def test_a_shared_page_tells_its_link_its_password_and_every_cap(monkeypatch):
    lines = server.announcement(replace(SHARED, turns=3, remote_tokens=900), LOCAL, PUBLIC, "s3cret")
    text = "\n".join(lines)
    assert PUBLIC in text and "User parley, password s3cret" in lines
    assert all(f"  {line}" in lines for line in replace(SHARED, turns=3).lines()) and "at most 3 prompts" in text
    assert "  remote models: 900 tokens in all" in lines
    assert "  remote models: off" in server.announcement(SHARED, LOCAL, PUBLIC, "s3cret")
    assert "No password: everyone with the link gets in" in server.announcement(SHARED, LOCAL, PUBLIC, "")
    monkeypatch.setenv("PARLEY_PASSWORD", "mine")
    assert "mine" not in "\n".join(server.announcement(SHARED, LOCAL, PUBLIC, "mine"))


def test_a_link_that_could_not_be_made_is_said_and_a_password_in_force_is_told():
    lines = server.announcement(SHARED, LOCAL, None, "s3cret")
    assert any(line.startswith("No public link could be made") for line in lines)
    assert "User parley, password s3cret" in lines
    lines = server.announcement(DemoConfig(), LOCAL, None, "", "no answer within 5 s")
    assert "No public link could be made: Gradio's share service can't be reached (no answer within 5 s)." in lines


def test_a_share_service_that_says_nothing_is_given_up_in_time(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(server, "SHARE_SERVICE", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        monkeypatch.setattr(server, "SHARE_TIMEOUT_S", 0.3)
        began = time.monotonic()
        assert server.share_problem()
        assert time.monotonic() - began < 5
    monkeypatch.setenv("GRADIO_SHARE_SERVER_ADDRESS", "share.example:7000")
    assert server.share_problem() == ""


def test_a_page_that_answers_slowly_opens_all_the_same(monkeypatch):
    import gradio as gr

    from tests.processes import free_port

    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)  # as where an answer takes over 3 seconds
    with gr.Blocks() as blocks:
        gr.HTML("slow")
    try:
        assert server.serve(blocks, DemoConfig(port=free_port()))[0].startswith("http://127.0.0.1:")
    finally:
        blocks.close(verbose=False)
