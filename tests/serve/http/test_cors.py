"""Requests by web pages of other origins: what a browser is answered before it sends one, and a page that chats."""

import functools
import http.server
import shutil
import threading

import pytest

from tests.serve.conftest import PAGE_PORT
from tests.serve.served import KEY

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = """<!doctype html><script>
fetch("ADDRESS/v1/chat/completions", {
  method: "POST",
  headers: {"content-type": "application/json", "authorization": "Bearer KEY"},
  body: JSON.stringify({model: "gpt-4o-mini", max_tokens: 4, messages: [{role: "user", content: "Hello."}]}),
}).then(reply => reply.json().then(found => document.title = found.object + " " + reply.headers.get("x-request-id")))
  .catch(error => document.title = "refused: " + error);
</script>"""
ASKED = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}


@pytest.fixture
def page(served, tmp_path):
    """The port at which a page is served that chats with the server."""
    (tmp_path / "index.html").write_text(PAGE.replace("ADDRESS", served.address).replace("KEY", KEY))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("", PAGE_PORT), handler) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        yield PAGE_PORT
        pages.shutdown()


def test_a_browsers_question_is_answered_before_the_key_is_checked(served):
    http_client = served.http("")
    reply = http_client.options("/v1/chat/completions", headers={"origin": f"http://127.0.0.1:{PAGE_PORT}", **ASKED})
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == f"http://127.0.0.1:{PAGE_PORT}"
    assert "authorization" in reply.headers["access-control-allow-headers"]
    other = http_client.options("/v1/chat/completions", headers={"origin": "http://evil.example", **ASKED})
    assert other.status_code == 400 and "access-control-allow-origin" not in other.headers
    assert http_client.options("/v1/models").status_code == 405


def test_an_error_can_be_read_by_the_page_too(served):
    reply = served.http("").get("/v1/models", headers={"origin": f"http://127.0.0.1:{PAGE_PORT}"})
    assert reply.status_code == 401
    assert reply.headers["access-control-allow-origin"] == f"http://127.0.0.1:{PAGE_PORT}"


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_a_page_of_an_origin_that_is_listed_chats_in_a_browser_and_another_does_not(page):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = {}
        for host in ("127.0.0.1", "localhost"):
            tab = browser.new_page()
            tab.goto(f"http://{host}:{page}/")
            tab.wait_for_function("document.title")
            shown[host] = tab.title()
        browser.close()
    assert shown["127.0.0.1"].startswith("chat.completion req_")
    assert shown["localhost"].startswith("refused: TypeError")
