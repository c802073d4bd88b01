"""The base model's job, on a corpus of a few dozen texts: its folder loads, and a killed job loses nothing."""

import gzip
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file

from data.errors import UserError
from steps.base import base
from tests.processes import Step

NAMES = ("Lily", "Tom", "Anna", "Ben", "Mia", "Sam")
THINGS = ("a red ball", "an old book", "two green apples", "the small dog", "a warm coat", "her new bike")
SHAPE = {"layers": 1, "width": 32, "vocabulary": 600, "exercises": 300, "dialogues": 30, "everyday": 60}
QUICK = {"epochs": 2, "batch_size": 4, "evals_per_epoch": 3, "threads": 1, "precision": "fp32"}


def pack(path: Path, lines: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in lines)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> Path:
    """The three files of the base model's texts, a few dozen texts each."""
    folder = tmp_path_factory.mktemp("corpora")
    pairs = [(name, thing) for name in NAMES for thing in THINGS]
    chats = [
        f"User 1: Hi, I am {name}.\nUser 2: Hello {name}! What do you have?\n"
        f"User 1: I have {thing}.\nUser 2: That is nice."
        for name, thing in pairs
    ]
    pack(folder / "persona_chat.jsonl.gz", [json.dumps({"Best Generated Conversation": chat}) for chat in chats])
    turns = [
        [
            ["USER", f"I am looking for {thing}."],
            ["SYSTEM", f"Is it for {name}?"],
            ["USER", "Yes."],
            ["SYSTEM", "Fine."],
        ]
        for name, thing in pairs
    ]
    pack(folder / "sgd_dialogs.jsonl.gz", [json.dumps({"turns": each}) for each in turns])
    stories = [f"One day a child named {n} found {t}. {n} took it home and was happy.\n<|endoftext|>" for n, t in pairs]
    pack(folder / "tinystories_2316.txt.gz", stories)
    return folder


@pytest.fixture(scope="module")
def flags(corpora):
    """``flags(output)`` gives the flags of a base model of seconds."""

    def flags(output: Path) -> list[str]:
        settings: dict[str, Any] = {"corpora": corpora, "output": output, **SHAPE, **QUICK}
        return [f"--{name}={value}" for name, value in settings.items()]

    return flags


def client_of(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


@pytest.fixture(scope="module")
def made(flags, launch, tmp_path_factory) -> tuple[Step, Path]:
    """A base model made without any trouble."""
    folder = tmp_path_factory.mktemp("made")
    step = launch(folder, "steps.base", flags(folder / "model"))
    step.wait()
    return step, folder


def test_the_model_folder_loads_and_speaks_through_its_own_template(made):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    step, folder = made
    assert step.code == 0, step.stderr
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert (model.config.n_layer, model.config.n_embd, model.config.vocab_size) == (1, 32, 600)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi."}], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    assert out.shape[1] > ids["input_ids"].shape[1]
    assert [len(tokenizer(word)["input_ids"]) for word in ("positive", "negative")] == [1, 1]


def test_the_run_is_tracked_and_the_card_is_written_from_it(made):
    _, folder = made
    client = client_of(folder)
    [run] = client.search_runs(["1"])
    assert (run.info.status, run.data.params["width"]) == ("FINISHED", "32")
    losses = client.get_metric_history(run.info.run_id, "eval/loss")
    assert len(losses) == 7 and losses[-1].value < losses[0].value
    card = (folder / "model" / "README.md").read_text()
    assert run.info.run_id in card and run.data.tags["base_digest"] in card and "CC BY 4.0" in card
    assert {entry.path for entry in client.list_artifacts(run.info.run_id)} >= {"base", "loss_curve.png"}


def test_a_killed_job_resumes_to_equal_weights(made, flags, launch, tmp_path):
    step = launch(tmp_path, "steps.base", flags(tmp_path / "model"))
    step.wait_for(lambda: _point(tmp_path) > 0, "a resume point after training began")
    step.signal(signal.SIGKILL)
    assert step.wait() == -9
    [path] = (tmp_path / "outputs").iterdir()
    again = launch(tmp_path, "steps.base", [f"--resume={path.name}"])
    assert again.wait() == 0, again.stderr
    [run] = client_of(tmp_path).search_runs(["1"])
    assert (run.info.run_id, run.info.status) == (path.name, "FINISHED")
    history = client_of(tmp_path).get_metric_history(path.name, "train/loss")
    assert len({point.step for point in history}) == len(history)
    ours, theirs = (load_file(folder / "model" / "model.safetensors") for folder in (tmp_path, made[1]))
    assert ours.keys() == theirs.keys() and all(ours[name].equal(theirs[name]) for name in ours)


def _point(folder: Path) -> int:
    return max((json.loads(path.read_text())["step"] for path in folder.glob("outputs/*/latest.json")), default=0)


def test_missing_corpora_are_named(store, corpora, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "persona_chat.jsonl.gz").write_bytes((corpora / "persona_chat.jsonl.gz").read_bytes())
    with pytest.raises(
        UserError, match=r"corpora=.*: there is no sgd_dialogs\.jsonl\.gz, no tinystories_2316\.txt\.gz in"
    ):
        base([f"--corpora={folder}", f"--output={tmp_path / 'model'}"])
    assert list(MlflowClient(store).search_runs(["1"])) == [] and not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no gzip", "it is no gzip file"),
        (gzip.compress(b'{"turns": []}', mtime=0)[:-9], "cut off"),
        (None, "broken JSON"),
    ],
    ids=["no gzip", "half-written", "broken lines"],
)
def test_damaged_corpora_are_named(store, corpora, tmp_path, content, said):
    import shutil

    folder = tmp_path / "texts"
    shutil.copytree(corpora, folder)
    (folder / "sgd_dialogs.jsonl.gz").write_bytes(content or gzip.compress(b'{"turns": [\n'))
    with pytest.raises(UserError, match=rf"sgd_dialogs\.jsonl\.gz.*{said}"):
        base([f"--corpora={folder}", f"--output={tmp_path / 'model'}"])
