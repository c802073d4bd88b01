"""Hub data sets are found, a silent hub is given up quickly, and what is in the cache works without it."""

import json
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from data.errors import DataError
from data.formats import hub
from data.formats.files import read_rows

PAIRS = [{"prompt": "Hi.", "response": "Ahoy."}, {"prompt": "Bye.", "response": "Farewell."}]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("imdb", hub.HubPlace("imdb")),
        ("owner/na.me", hub.HubPlace("owner/na.me")),
        ("owner/name@plain:test", hub.HubPlace("owner/name", "plain", "test")),
        ("owner/name:train[:200]", hub.HubPlace("owner/name", "", "train[:200]")),
        ("a/b/c", None),
        ("./rows", None),
        ("my rows", None),
    ],
)
def test_hub_names_are_told_from_paths(place, expected):
    assert hub.parse(place) == expected


def test_what_is_neither_a_file_nor_a_hub_name_says_so():
    with pytest.raises(DataError, match="a/b/c: no such file, and not a hub name like"):
        read_rows("a/b/c")


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("no_cache")
def test_a_hub_that_refuses_is_reported_at_once(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        DataError, match=r"^owner/name: there is no such file, and the hub at http://127\.0\.0\.1:9 can't be"
    ):
        read_rows("owner/name")


@pytest.mark.usefixtures("no_cache")
def test_offline_mode_asks_no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "probe", lambda *_: pytest.fail("the hub was asked"))
    with pytest.raises(DataError, match=r"owner/name: .*HF_HUB_OFFLINE is set and the cache does not hold it"):
        read_rows("owner/name")


def test_a_silent_hub_is_given_up_after_the_deadline():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        assert hub.probe(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2) != ""
        assert time.monotonic() - start < 20


@pytest.mark.parametrize(("status", "trouble"), [(200, ""), (404, ""), (503, "status 503")])
def test_a_hub_that_answers_is_used_unless_a_gateway_fails(status, trouble):
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        assert hub.probe(f"http://127.0.0.1:{server.server_port}", 3) == trouble


@pytest.fixture
def cached_name(tmp_path, monkeypatch):
    """The name of a data set that is in the local cache, as a load from the hub leaves it there."""
    import datasets

    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    builder = cache / "someone___my_pairs" / "default" / "0.0.0" / "abc"
    datasets.Dataset.from_list([*PAIRS, {"prompt": "So?", "response": "Aye."}]).to_parquet(tmp_path / "rows.parquet")
    made = datasets.load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), cache_dir=str(tmp_path / "made"))
    made_in = Path(made["train"].cache_files[0]["filename"]).parent
    builder.mkdir(parents=True)
    (made_in / "parquet-train.arrow").rename(builder / "my_pairs-train.arrow")
    info = json.loads((made_in / "dataset_info.json").read_text())
    info |= {"dataset_name": "my_pairs", "config_name": "default"}
    (builder / "dataset_info.json").write_text(json.dumps(info))
    return "someone/my_pairs"


def test_a_cached_data_set_works_without_the_hub(cached_name, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    rows = read_rows(f"{cached_name}:train[:2]")
    assert [row.turns for row in rows] == [(("Hi.", "Ahoy."),), (("Bye.", "Farewell."),)]
    assert rows[1].where == "someone/my_pairs row 2"


def test_a_split_that_the_cached_data_set_lacks_is_named(cached_name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r'from the cache: Unknown split "test"'):
        read_rows(f"{cached_name}:test")


@pytest.mark.usefixtures("no_cache")
def test_what_the_hub_says_is_passed_on_in_one_line(monkeypatch):
    import datasets

    def refuse(*_, **__):
        raise ValueError("Dataset 'owner/name' doesn't exist on the Hub.\nMore.")

    monkeypatch.setattr(hub, "probe", lambda *_: "")
    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError) as caught:
        read_rows("owner/name@config:test")
    assert caught.value.problems == [
        "owner/name@config:test: there is no such file, and the hub says: "
        "Dataset 'owner/name' doesn't exist on the Hub."
    ]
