"""One version, one prompt, everything on this machine that can answer it: the texts are the same."""

import importlib
from typing import Any

import mlflow
import pytest
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from data.conversation import Row
from data.errors import UserError
from demo.config import DemoConfig
from demo.server import make_pool
from inference.loading import load_model, load_tokenizer
from inference.transcript import Sampling
from recipes.export import gguf_converter, run
from recipes.export.answers import reference_answers
from recipes.export.layouts import Source, write_merged
from recipes.export.run import find
from recipes.version_models import load
from steps.export import export
from tests.fixtures.consumers import consume, read_by, write
from tests.fixtures.gguf_files import write as write_gguf
from tests.inference.tiny import adapter, rope
from tests.serve.served import Served

PROMPT, NEW_TOKENS = "Where is the boat?", 8


@pytest.fixture
def version(store, tiny_base, tmp_path):
    """A PEFT adapter on a tiny Llama, imported, which logs it as every version is."""
    base = rope("llama", tiny_base, tmp_path / "base")
    folder = adapter(base, tmp_path / "adapter", seed=4, target_modules=["q_proj", "v_proj", "down_proj"])
    importlib.import_module("steps.import").import_model(["--path", str(folder), "--register_as", "theirs"])
    return "theirs/1"


def test_transformers_llama_cpp_pyfunc_page_and_server_give_the_same_answer(version, store, launcher, tmp_path):
    pytest.importorskip("xllamacpp")
    _, location = find(version)
    model, tokenizer = load(location)
    reference = reference_answers(model, tokenizer, [Row(((PROMPT, ""),))], NEW_TOKENS, location.stop_token_ids)
    merged = tmp_path / "merged"
    source = Source(location, model, tokenizer, reference)
    write_merged(source, merged)
    (tmp_path / "gguf").mkdir()
    whole = load_model(merged)
    write_gguf(tmp_path / "gguf" / "model.gguf", whole, tokenizer, template=tokenizer.chat_template)
    texts = {"version": reference.answers.texts[0]}
    for name, folder in (("with_transformers", merged), ("with_llama_cpp", tmp_path / "gguf")):
        texts[name] = read_by(name, task(folder, reference))["texts"][0]
    texts["models serve"] = served_by_mlflow(version)
    group = make_pool(DemoConfig(threads=1)).open([version])
    (*_, exchange) = group.generate(PROMPT, Sampling(temperature=0.0, max_new_tokens=NEW_TOKENS))
    texts["page"] = exchange.replies[0].text
    server = Served(launcher, tmp_path, store, base_model=str(tmp_path / "base")).start()
    asked: Any = [{"role": "user", "content": PROMPT}]
    found = server.client().chat.completions.create(model=version, messages=asked, temperature=0, max_tokens=NEW_TOKENS)
    texts["server"] = found.choices[0].message.content or ""
    server.stop()
    assert len({text.strip().rstrip("\ufffd") for text in texts.values()}) == 1, texts


def test_an_export_that_its_type_spoils_is_refused_with_a_type_that_passes(version, monkeypatch, tmp_path):
    pytest.importorskip("xllamacpp")

    def convert(model, file, outtype):  # llama.cpp's own converter comes from the network
        whole, tokenizer = load_model(model), load_tokenizer(model)
        if outtype == "q8_0":  # the small matrices fit no blocks of 32 weights
            whole.load_state_dict({name: (8 * each).round() / 8 for name, each in whole.state_dict().items()})
        kind = outtype.upper() if outtype != "q8_0" else "F32"
        write_gguf(file, whole, tokenizer, template=tokenizer.chat_template, kind=kind)

    monkeypatch.setattr(gguf_converter, "convert", convert)
    monkeypatch.setattr(run, "consume", consume)
    monkeypatch.setattr(run, "in_own_process", write)
    flags = ["--version", version, "--to", "gguf", "--max_new_tokens", "4", "--threads", "1"]
    with pytest.raises(UserError, match=r"quantisation \(rounding to q8_0, 8 bits a weight; outtype=f16 passes\)"):
        export([*flags, "--outtype", "q8_0", "--output", str(tmp_path / "q8_0" / "exported")])
    assert list((tmp_path / "q8_0").iterdir()) == []
    export([*flags, "--output", str(tmp_path / "f16")])
    assert sorted(path.name for path in (tmp_path / "f16").iterdir()) == ["model.gguf", "proof.json", "proof.md"]


def task(folder, reference):
    return {
        "folder": str(folder), "base": "", "messages": reference.messages, "tokens": reference.answers.tokens,
        "max_new_tokens": NEW_TOKENS, "threads": 1, "longest_prompt": len(reference.answers.prompts[0]),
    }  # fmt: skip


def served_by_mlflow(version):
    """The answer of the HTTP application that ``mlflow models serve`` starts."""
    application = scoring_server.init(mlflow.pyfunc.load_model(f"models:/{version}"))
    body = {"inputs": [PROMPT], "params": {"max_new_tokens": NEW_TOKENS}}
    return TestClient(application).post("/invocations", json=body).json()["predictions"][0]
