"""A base model is found where it is, a hub that is away is given up quickly, and no code that comes with one is run."""

import json
import pickle
import shutil
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest
import torch

from data.errors import UserError
from train import base_model

AWAY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty cache and a hub at a closed port; returns a function that says where the hub is instead."""
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(base_model, "HUB_TIMEOUT_S", 0.5)

    def move(endpoint):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        base_model.hub_problem.cache_clear()

    move(AWAY)
    yield move
    base_model.hub_problem.cache_clear()


@pytest.fixture
def folder(model_folder, tmp_path):
    """A copy of a model folder, to be spoilt."""
    return shutil.copytree(model_folder, tmp_path / "model")


def cache(model_folder, tmp_path, name):
    """Put a model into the hub's cache as a download leaves it there."""
    place = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(model_folder, place / "snapshots" / "abc123")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc123")
    return place / "snapshots" / "abc123"


# --- what is found ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (base_model.BUNDLED / "config.json").is_file(), reason="data/base holds no model yet")
def test_the_bundled_base_loads_without_any_hub():
    found = base_model.resolve("bundled")
    model, tokenizer = base_model.load(found, "cpu")
    assert (found.name, found.folder, found.revision) == ("bundled", base_model.BUNDLED, "")
    assert len(tokenizer) <= model.get_input_embeddings().num_embeddings
    for word in ("positive", "negative", " positive", " negative"):
        assert len(tokenizer(word)["input_ids"]) == 1
    assert sum(path.stat().st_size for path in base_model.BUNDLED.iterdir()) <= 16 * 2**20


def test_a_local_folder_is_taken_and_its_weights_named_by_their_digest(model_folder):
    found = base_model.resolve(str(model_folder))
    assert (found.name, found.folder, found.revision) == (str(model_folder), model_folder.resolve(), "")
    assert found.digest == base_model.weights_digest(model_folder) and len(found.digest) == 16
    model, tokenizer = base_model.load(found, "cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32} and tokenizer.eos_token_id is not None


def test_a_folder_may_be_named_relative_to_where_we_are(model_folder, monkeypatch):
    monkeypatch.chdir(model_folder.parent)
    assert (
        base_model.resolve(model_folder.name).folder
        == base_model.resolve(f"./{model_folder.name}").folder
        == model_folder
    )


def test_weights_in_half_precision_are_trained_in_full(gpt2, tokenizer, tmp_path):
    gpt2(len(tokenizer)).bfloat16().save_pretrained(tmp_path / "half")
    tokenizer.save_pretrained(tmp_path / "half")
    model, _ = base_model.load(base_model.resolve(str(tmp_path / "half")), "cpu")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_digest_is_that_of_the_weights_and_of_nothing_else(folder):
    before = base_model.weights_digest(folder)
    (folder / "notes.txt").write_text("hi")
    (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    assert base_model.weights_digest(folder) == before
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert base_model.weights_digest(folder) != before


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_folder_without_weights_is_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no \.safetensors weights"):
        base_model.resolve(str(folder))


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_never_loaded(folder, tmp_path, name):
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    with pytest.raises(UserError, match="other formats are not loaded, they can run code"):
        base_model.resolve(str(folder))
    assert not (tmp_path / "mark").exists()


def test_pickled_weights_are_not_loaded_beside_other_safetensors_either(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    with pytest.raises(UserError, match="can't be loaded"):
        base_model.load(base_model.resolve(str(folder)), "cpu")
    assert not (tmp_path / "mark").exists()


def test_code_that_comes_with_a_model_is_not_run_and_nobody_is_asked(folder, tmp_path):
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\nclass Config: ...\nclass Model: ...\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="can't be loaded"):
        base_model.load(base_model.resolve(str(folder)), "cpu")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("spoilt", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_half_written_file_is_a_plain_error_that_names_the_folder(folder, spoilt):
    path = folder / spoilt
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"base_model=.*model can't be loaded"):
        base_model.load(base_model.resolve(str(folder)), "cpu")


def test_a_model_that_is_no_language_model_is_a_plain_error(folder):
    from transformers import ViTConfig

    ViTConfig().save_pretrained(folder)
    with pytest.raises(UserError, match="can't be loaded"):
        base_model.load(base_model.resolve(str(folder)), "cpu")


def test_a_tokenizer_without_an_end_is_refused(folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": None}))
    with pytest.raises(UserError, match="no end token"):
        base_model.load(base_model.resolve(str(folder)), "cpu")


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"holds no config\.json"):
        base_model.resolve(str(tmp_path))


@pytest.mark.parametrize("wanted", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_path_that_leads_nowhere_is_no_hub_name(wanted):
    with pytest.raises(UserError, match=f"^base_model={wanted}: there is no such folder or file"):
        base_model.resolve(wanted)


# --- the hub ---------------------------------------------------------------------------------------------------------


def test_a_hub_that_refuses_is_named(hub):
    with pytest.raises(UserError, match=rf"^base_model=nobody/none: not in the cache, and the hub {AWAY} "):
        base_model.resolve("nobody/none")


def test_a_hub_that_never_answers_is_given_up_within_seconds(hub):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        hub(endpoint)
        start = time.monotonic()
        with pytest.raises(UserError, match=endpoint):
            base_model.resolve("nobody/none")
        assert time.monotonic() - start < 120


@pytest.fixture
def answering(hub):
    """A hub that answers the first question, and then says 404 or nothing at all."""
    silence = Event()

    class Answer(BaseHTTPRequestHandler):
        hangs = False

        def do_HEAD(self):
            self._say(200)

        def do_GET(self):
            if self.hangs:
                silence.wait(300)
            self._say(404)

        def _say(self, status):
            self.send_response(status)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        hub(f"http://127.0.0.1:{server.server_port}")
        yield Answer
        silence.set()
        server.shutdown()


def test_a_name_that_the_hub_does_not_know_is_said_so(answering):
    with pytest.raises(UserError, match=r"^base_model=nobody/none: the hub does not give it .*is the name right"):
        base_model.resolve("nobody/none")


def test_a_hub_that_falls_silent_later_is_given_up_too(answering):
    answering.hangs = True
    start = time.monotonic()
    with pytest.raises(UserError, match="^base_model=nobody/none: "):
        base_model.resolve("nobody/none")
    assert time.monotonic() - start < 120


def test_offline_mode_asks_no_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        base_model.resolve("nobody/none")


def test_what_is_in_the_cache_is_used_without_any_hub(model_folder, tmp_path):
    place = cache(model_folder, tmp_path, "someone/tiny")
    found = base_model.resolve("someone/tiny")
    assert (found.name, found.folder, found.revision) == ("someone/tiny", place, "abc123")
    assert found.digest == base_model.weights_digest(model_folder) and "cache" in found.source
    base_model.load(found, "cpu")


def test_a_cache_that_holds_pickled_weights_only_is_no_hit(model_folder, tmp_path):
    place = cache(model_folder, tmp_path, "someone/tiny")
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    with pytest.raises(UserError, match="base_model=someone/tiny"):
        base_model.resolve("someone/tiny")


def test_smollm2_and_auto_are_taken_from_the_hubs_cache_where_they_are_there(model_folder, tmp_path):
    cache(model_folder, tmp_path, "HuggingFaceTB/SmolLM2-135M-Instruct")
    for wanted in ("smollm2", "auto"):
        found = base_model.resolve(wanted)
        assert (found.name, found.revision, found.source) == ("smollm2", "abc123", "the hub's cache")
        assert found.pretrained_name == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_auto_is_the_bundled_base_where_hub_and_index_are_away_and_says_why(model_folder, monkeypatch):
    monkeypatch.setattr(base_model, "BUNDLED", model_folder)
    found = base_model.resolve("auto")
    assert (found.name, found.folder) == ("bundled", model_folder)
    assert found.reason.startswith("auto: base_model=smollm2: not in the cache") and AWAY in found.reason


# --- GGUF ------------------------------------------------------------------------------------------------------------


def test_a_gguf_file_and_a_folder_of_one_are_converted_once(gguf_file, tmp_path, monkeypatch):
    monkeypatch.setenv("PARLEY_CACHE", str(tmp_path / "cache"))
    found = base_model.resolve(str(gguf_file))
    assert found.folder.parent == tmp_path / "cache" and "converted from F32 of tiny.gguf" in found.source
    model, _ = base_model.load(found, "cpu")
    assert model.config.num_hidden_layers == 2
    again = base_model.resolve(str(gguf_file.parent))
    assert (again.folder, again.digest) == (found.folder, found.digest)


def test_of_several_gguf_files_one_must_be_named(gguf_file):
    shutil.copy(gguf_file, gguf_file.parent / "other.gguf")
    with pytest.raises(UserError, match="2 GGUF files; name one of them, such as .*other.gguf"):
        base_model.resolve(str(gguf_file.parent))


@pytest.mark.parametrize(
    ("names", "wanted", "said"),
    [
        (["tiny-00001-of-00002.gguf", "tiny-00002-of-00002.gguf"], "", "one part of a model: join the parts"),
        (["tiny-00002-of-00002.gguf"], "tiny-00002-of-00002.gguf", "one part of a model: join the parts"),
        (["Tiny.GGUF"], "", "Tiny.GGUF is no GGUF file"),
        (["Tiny.GGUF"], "Tiny.GGUF", "Tiny.GGUF is no GGUF file"),
        (["of.gguf/tiny.txt"], "", "holds no config.json"),
    ],
)
def test_odd_names_of_gguf_files_are_one_line(tmp_path, names, wanted, said):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=said):
        base_model.resolve(str(tmp_path / wanted))


def test_a_gguf_file_that_is_not_there_is_not_looked_for_on_the_hub():
    with pytest.raises(UserError, match="there is no such folder or file"):
        base_model.resolve("mine/tiny.Q4_K_M.gguf")


def test_an_empty_gguf_file_is_one_line(gguf_file):
    gguf_file.write_bytes(b"")
    for wanted in (gguf_file, gguf_file.parent):
        with pytest.raises(UserError, match=f"^base_model={wanted}: .*tiny.gguf is no GGUF file"):
            base_model.resolve(str(wanted))


def test_another_file_is_no_model(folder):
    with pytest.raises(UserError, match=r"this is a file; name its folder, or a \.gguf file"):
        base_model.resolve(str(folder / "config.json"))


# --- the hub again ---------------------------------------------------------------------------------------------------


def test_the_hub_is_asked_only_once_a_process(hub, monkeypatch):
    asked = []
    monkeypatch.setattr(base_model, "probe", lambda *place: asked.append(place) or "away")
    for name in ("nobody/none", "nobody/else"):
        with pytest.raises(UserError, match="away"):
            base_model.resolve(name)
    assert asked == [(AWAY, base_model.HUB_TIMEOUT_S)]
