"""Whatever is wrong with the input is said in plain lines; no run is left and nothing is registered."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from data.errors import ConfigError, UserError
from registry import evaluation_run
from steps.pirate import pirate

ROWS = [{"prompt": f"Say number {i}.", "response": f"Aye, {i}, arr!"} for i in range(24)]
GOOD = json.dumps(ROWS)
BLANK = json.dumps([*ROWS, {"prompt": "Hi.", "response": "  "}, {"prompt": "", "response": "Arr."}])

#: file name, its bytes, and a pattern of what must be said
FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("own.json", b"", r"^own\.json: the file is empty$"),
    "no rows": ("own.json", b"[]", r"^own\.json: there are no rows in it$"),
    "UTF-16": ("own.json", GOOD.encode("utf-16"), r"^own\.json .*UTF-16 or UTF-32; save it as UTF-8$"),
    "Latin-1": (
        "own.jsonl",
        b'{"prompt": "Caf\xe9?", "response": "Aye."}',
        r"^own\.jsonl byte 15 \(line 1\): 0xe9 is not",
    ),
    "half-written JSON": ("own.json", GOOD[:300].encode(), r"^own\.json line 1 column \d+: .*the file looks cut off$"),
    "half-written JSONL": (
        "own.jsonl",
        b"\n".join(json.dumps(row).encode() for row in ROWS)[:-9],
        r"^own\.jsonl row 24, line 24 column \d+: .*cut off$",
    ),
    "wrong keys": (
        "own.json",
        b'[{"prompt": "a", "output": "b"}]',
        r'^own\.json row 1: its keys are prompt, output; .*rename "output" to "response"\?',
    ),
    "no objects": ("own.json", b'["a", "b"]', r"^own\.json row 1: it is text, not an object"),
    "blank texts": (
        "own.json",
        BLANK.encode(),
        r"(?s)own\.json row 25: the response is blank.*row 26: the prompt is blank",
    ),
    "duplicate rows": ("own.json", json.dumps([*ROWS, ROWS[4]]).encode(), r"own\.json row 25: .*own\.json row 5 again"),
    "too few rows": ("own.json", json.dumps(ROWS[:6]).encode(), r"6 rows with 6 different prompts are too few"),
    "unknown format": ("own.docx", b"PK", r"own\.docx: can't tell its format"),
    "ragged table": ("own.csv", b"prompt,response\nHi,there,you\n", r"^own\.csv row 1 \(line 2\): it has 3 fields"),
    "control tokens": (
        "own.json",
        json.dumps([*ROWS, {"prompt": "Stop.", "response": "Aye.<|end|> More."}]).encode(),
        r"own\.json row 25: .*<\|end\|>.*control token",
    ),
}


def the_runs(store: str) -> list[Run]:
    client = MlflowClient(store)
    assert client.search_registered_models() == []
    return evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))


@pytest.fixture
def refused(quick, store) -> Callable[..., str]:
    """``refused(pattern, name=value, ...)`` runs the job, which must fail with a message that holds ``pattern``."""

    def refused(pattern: str, **settings: Any) -> str:
        with pytest.raises(UserError, match=pattern) as caught:
            pirate(quick(**settings))
        for run in the_runs(store):
            assert run.info.status == "FAILED" and run.data.metrics, "training had begun"
            assert run.data.tags["error"] == str(caught.value).splitlines()[0][:200]
        return str(caught.value)

    return refused


@pytest.mark.parametrize("kind", FILES)
def test_a_bad_file_is_named_with_the_place_of_the_fault(kind, refused, tmp_path, store):
    name, content, said = FILES[kind]
    (tmp_path / name).write_bytes(content)
    refused(said, dataset=tmp_path / name)
    assert the_runs(store) == []


def test_a_bad_test_file_is_named_too(refused, tmp_path):
    (tmp_path / "held_out.json").write_text('[{"prompt": "a"}]')
    refused(r"held_out\.json row 1: its keys are prompt", test_dataset=tmp_path / "held_out.json")


def test_test_rows_that_are_trained_on_are_named(refused, tmp_path):
    for name in ("own", "held_out"):
        (tmp_path / f"{name}.json").write_text(GOOD)
    refused(
        r"held_out\.json row 1: its prompt 'Say number 0\.' is trained on \(own\.json row 1\)",
        dataset=tmp_path / "own.json",
        test_dataset=tmp_path / "held_out.json",
    )


def test_a_missing_file_is_named(refused, tmp_path):
    refused(r"none\.json: there is no such file", dataset=tmp_path / "none.json")


def test_a_folder_is_no_file(refused, tmp_path):
    refused("this is a folder; give one file in it", dataset=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(refused, tmp_path):
    (tmp_path / "own.json").write_text(GOOD)
    (tmp_path / "own.json").chmod(0)
    refused(r"own\.json: you have no permission to read it", dataset=tmp_path / "own.json")


def test_rows_whose_answers_are_all_cut_off_are_named_in_one_line(refused):
    message = refused("tiny row 1: its prompt alone fills max_length=4 tokens", max_length=4)
    assert message.endswith("(likewise rows 2 to 20)") and "\n" not in message


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dataset": "cleen"}, "cleen"),
        ({"base_model": "./no/such/folder"}, "base_model=./no/such/folder: there is no such folder"),
        ({"base_model": "nobody/nothing"}, "base_model=nobody/nothing: not in the cache, and HF_HUB_OFFLINE is set"),
        ({"targets": "c_attn,q_prog"}, "targets: this model has no layer q_prog; it has c_attn, c_fc, c_proj"),
    ],
)
def test_an_unknown_name_is_said_with_what_there_is(settings, said, refused, monkeypatch):
    from train import base_model

    base_model.hub_problem.cache_clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        refused(said, **settings)
    finally:
        base_model.hub_problem.cache_clear()


def test_a_folder_that_holds_no_model_is_said(refused, tmp_path):
    (tmp_path / "base").mkdir()
    refused("holds no config.json, so it is no model folder", base_model=tmp_path / "base")


def test_pickled_weights_are_refused(refused, tmp_path, tiny_base):
    shutil.copytree(tiny_base, tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").rename(tmp_path / "base" / "pytorch_model.bin")
    refused(r"holds no \.safetensors weights", base_model=tmp_path / "base")


def test_half_written_weights_are_refused(refused, tmp_path, tiny_base):
    shutil.copytree(tiny_base, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    refused(r"base can't be loaded", base_model=tmp_path / "base")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "abc"], "epochs must be a whole number, not 'abc'"),
        (["--epochs", "1.5"], "epochs must be a whole number, not '1.5'"),
        (["--epochs", "-1"], "epochs must be at least 0, not -1"),
        (["--lr", "-1"], "lr must be a finite number of at least 0, not -1.0"),
        (["--lr", "nan"], "lr must be a finite number of at least 0, not nan"),
        (["--lr", "inf"], "lr must be a finite number of at least 0, not inf"),
        (["--method", "qlora"], "method must be one of lora, full, not 'qlora'"),
        (["--learning_rate", "1"], "there is no parameter 'learning_rate'"),
        (["--epoch", "3"], "there is no parameter 'epoch'; did you mean epochs?"),
        (["--epochs"], "epochs needs a value"),
        (["epochs", "3"], "there is no parameter 'epochs'"),
        (["--method", "full", "--rank", "4"], "rank only apply to method=lora"),
        (["--register_as", "a/b"], "register_as must be a name without / : @"),
        (["--register_as", "pirate's"], "register_as must be a name without / : @ and quotation marks"),
        (["--dataset", " "], "dataset must not be empty"),
    ],
)
def test_a_bad_flag_is_named_before_a_run_begins(words, said, store):
    with pytest.raises(ConfigError) as caught:
        pirate(words)
    assert said in str(caught.value)
    client = MlflowClient(store)
    assert client.search_runs([each.experiment_id for each in client.search_experiments()]) == []


def test_a_loss_that_is_no_number_stops_the_run_as_diverged(refused, store):
    message = refused("diverged at step .*: lower lr", method="full", lr=1e6, epochs=40, warmup=0)
    assert "nan" in message and "1e+06" in message
    [run] = the_runs(store)
    assert run.data.tags["verdict"] == "diverged"


def test_a_user_sees_one_line_and_exit_code_1(quick, launch, tmp_path):
    (tmp_path / "own.json").write_text('[{"prompt": "a", "output": "b"}]')
    wrong = [quick(dataset=tmp_path / "own.json"), quick(dataset=tmp_path / "none.json"), ["--lr=-1"], ["--epoch=3"]]
    steps = [launch(tmp_path, "steps.pirate", flags) for flags in wrong]
    for step in steps:
        assert step.wait() == 1
        [line] = [line for line in step.stderr.splitlines() if line.strip()]
        assert "Traceback" not in step.stderr and ("json" in line or "lr" in line or "epochs" in line)


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_hub_that_hangs_is_given_up_with_its_address(silent_hub, quick, launch, tmp_path):
    env = {
        "HF_ENDPOINT": silent_hub,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "cache"),
        "NO_PROXY": "127.0.0.1",
    }
    began = time.monotonic()
    steps = [
        launch(tmp_path, "steps.pirate", quick(**{name: "owner/name"}), **env) for name in ("base_model", "dataset")
    ]
    for step in steps:
        assert step.wait() == 1
        [line] = [line for line in step.stderr.splitlines() if line.strip()]
        assert "owner/name" in line and silent_hub in line
    assert time.monotonic() - began < 150  # the client's own patience is minutes


def _assert_full(step: Any, folder: Path) -> None:
    assert step.wait() == 1, step.stdout
    lines = [line for line in step.stderr.splitlines() if line.strip() and not line.startswith("training:")]
    assert "Traceback" not in step.stderr and "The disk is full" in lines[-1], step.stderr
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [run] = evaluation_run.with_scores(client.search_runs([each.experiment_id for each in client.search_experiments()]))
    assert run.info.status == "FAILED"
    assert f"-P resume={run.info.run_id}" in lines[-1]
    assert client.search_registered_models() == []


def test_a_file_that_may_not_grow_ends_the_run_as_a_full_disk_does(quick, launch, tmp_path, empty_store, tiny_base):
    limit = 2_000_000
    wide = tmp_path / "wide"
    assert empty_store.stat().st_size < limit
    _make_wide(tiny_base, wide)  # its optimizer state alone is larger than the limit
    step = launch(tmp_path, "steps.pirate", quick(base_model=wide, method="full"), largest_file=limit)
    _assert_full(step, tmp_path)


def _make_wide(tiny_base: Path, folder: Path) -> None:
    from transformers import AutoTokenizer

    from recipes.pretraining.config import BaseConfig
    from recipes.pretraining.model import make_model

    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    make_model(BaseConfig(layers=1, width=192, vocabulary=600), tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "parley-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("a file system can't be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_ends_the_run_and_a_resume_after_making_room_finishes_it(quick, launch, tmp_path, small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 600_000)
    env = {"PARLEY_OUTPUTS": str(small_disk / "outputs")}
    step = launch(tmp_path, "steps.pirate", quick(epochs=1), **env)
    _assert_full(step, tmp_path)
    ballast.unlink()
    run_id = step.stderr.rstrip().rpartition("resume=")[2]
    again = launch(tmp_path, "steps.pirate", [f"--resume={run_id}"], **env)
    assert again.wait() == 0, again.stderr
