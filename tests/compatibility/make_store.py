"""Makes ``old_store.tar.xz`` and ``expected.json``: what commit 47ebf1d keeps on disk, in small, and what it answers.

Run with the code of that commit, in a folder whose path may be published, because MLflow and Parley store absolute
paths (the tests replace them by those of the folder that they unpack to)::

    git clone . /srv/parley/code && cd /srv/parley/code && git checkout 47ebf1d
    git remote remove origin && ln -s FOLDER_OF_A_VIRTUAL_ENVIRONMENT .venv
    PYTHONPATH=. .venv/bin/python CHECKOUT/tests/compatibility/make_store.py CHECKOUT/tests/compatibility

The names imported are those of that commit. It takes about three minutes. The store is made beside the code, in
``/srv/parley/store``. It is packed first; then the old code finishes in it what was interrupted, and the figures that
it ends with go into ``expected.json``.
"""

import contextlib
import io
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from old_code import CODE, ENVIRONMENT, STORE, flags, step
from old_server import OldServer
from store_archive import replace

COMMIT = "47ebf1d39ebfcdefe3f815267b18e2263285477d"
PROMPTS = ("Say number 3.", "Say number 8.", "Where is the boat?")
TEXTS = ("a lovely and warm film", "a dull and clumsy film")
TOKEN_IDS = (1, 37, 260, 301, 44, 411, 12, 300)
LOGITS = 8  # of the last position, so many are kept
NOT_KEPT = (".png", ".lock", ".db-shm", ".db-wal")


def main(output: Path) -> None:
    """Make the store, pack it, let the old code finish what is open in it, and write what it found."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert commit == COMMIT, f"run this with the code of {COMMIT}, not of {commit}"
    shutil.rmtree(STORE, ignore_errors=True)
    STORE.mkdir()
    os.environ.update(ENVIRONMENT)
    os.chdir(STORE)
    make_base()
    write_rows()
    train_versions()
    expected: dict[str, Any] = {"made_in": str(STORE), "commit": COMMIT, **record_transcripts()}
    expected["interrupted_run"] = interrupted_run()
    expected["interrupted_study"] = interrupted_study()
    server = OldServer()
    expected["server"] = server.fill()
    pack(output / "old_store.tar.xz")
    expected["interrupted_run"] |= finish_run(expected["interrupted_run"]["run_id"])
    expected["interrupted_study"] |= finish_study(expected["interrupted_study"]["run_id"])
    expected["server"] |= server.finish(expected["server"]["running_job"])
    expected["answers"] = answers()
    text = json.dumps(expected, indent=1, ensure_ascii=False)
    (output / "expected.json").write_text(text + "\n", encoding="utf-8")


def make_base() -> None:
    """A random GPT-2 of two layers, its weights rounded to bfloat16, which halves what the archive needs for them."""
    import torch
    from train.pretrain import make_model, make_tokenizer

    from data import pirate
    from train.config import BaseConfig

    texts = (f" {text}" for row in pirate.named_rows("clean") for turn in row.turns for text in turn)
    tokenizer = make_tokenizer(texts, 600)
    model = make_model(BaseConfig(layers=2, width=64, vocabulary=600, max_length=128, row_tokens=128), tokenizer)
    torch.manual_seed(11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        model.get_input_embeddings().weight[tokenizer.eos_token_id] = 0.1 * torch.arange(64).sin()
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16().float())
    model.save_pretrained(STORE / "base")
    tokenizer.save_pretrained(STORE / "base")


def write_rows() -> None:
    """Pairs for the pirate runs, and labelled texts."""
    from tests import study_rows

    for name, numbers in (("pairs.jsonl", range(48)), ("test_pairs.jsonl", range(50, 60))):
        rows = [{"prompt": f"Say number {i}.", "response": f"Aye, number {i % 8} it is, arr!"} for i in numbers]
        (STORE / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    study_rows.write_rows(STORE)


PIRATE = {
    "dataset": "pairs.jsonl",
    "test_dataset": "test_pairs.jsonl",
    "base_model": STORE / "base",
    "max_new_tokens": 16,
    "max_length": 64,
    "threads": 1,
    "precision": "fp32",
}
NOISY = {"dataset": "rows.csv", "test_dataset": "tests.csv", "n_train": 0, "n_test": 0, "rate": 0.2}


def train_versions() -> None:
    """pirate/1 (LoRA, four checkpoints, champion), pirate/2 (full), noisy/1 (TF-IDF), noisy/2 (LoRA), remote/1 to 3."""
    from mlflow.tracking import MlflowClient

    from tests.fake_openai import KEY, Fake

    step("pirate", flags(**PIRATE, epochs=4, batch_size=2, lr=1e-2, rank=4))
    step("pirate", flags(**PIRATE, method="full", epochs=3, batch_size=2, lr=2e-3, restore="last"))
    step("noisy", flags(**NOISY, learner="tfidf", folds=2, min_df=1))
    small = {"base_model": STORE / "base", "rank": 2, "max_length": 64, "threads": 1, "precision": "fp32"}
    step("noisy", flags(**NOISY, **small, learner="lora", epochs=2, lr=1e-2))
    fake = Fake(steps=9, steps_a_look=9).start()
    about = {"OPENAI_BASE_URL": fake.address, "OPENAI_API_KEY": KEY}
    step("noisy", flags(**NOISY, provider="openai", n_memory=0, epochs=3, register_as="remote"), **about)
    fake.stop()
    client = MlflowClient()
    client.set_registered_model_alias("pirate", "champion", "1")
    client.set_registered_model_alias("remote", "champion", "3")


def record_transcripts() -> dict[str, Any]:
    """Two transcripts, one greedy and one drawn, and five votes, one of which has not been delivered."""
    from demo.launch import make_pool
    from mlflow.tracking import MlflowClient
    from registry.transcript import Sampling, Transcript

    from demo import page
    from demo.config import DemoConfig
    from registry import ballots, checkpoints, versions

    first = min(checkpoints.paths(MlflowClient(), versions.resolve("pirate/1").run_id))
    references = ["pirate/1:base", "pirate/1", f"pirate/1:{first}", "pirate/2"]
    panel = make_pool(DemoConfig(threads=1)).open(references)
    assert not any(each.error for each in panel.loaded), [each.error for each in panel.loaded]
    found: dict[str, Any] = {"references": references}
    for name, sampling in (("greedy", Sampling(0.0, 1.0, 16, 7)), ("drawn", Sampling(0.8, 0.95, 16, 7))):
        exchanges: list[Any] = []
        for prompt in PROMPTS[:2]:
            *_, last = panel.generate(prompt, sampling, exchanges)
            exchanges.append(last)
        found[name] = Transcript(panel.models, sampling, tuple(exchanges))
    (STORE / "greedy.json").write_text(found["greedy"].to_json(), encoding="utf-8")
    (STORE / "drawn.html").write_text(page.to_html(found["drawn"]), encoding="utf-8")
    for vote in make_votes(found["greedy"]):
        ballots.record(vote)
    leave_undelivered_vote(found["greedy"])
    step("votes", flags(output="pairs_of_votes.jsonl", pairs="all"))
    pairs = Path("pairs_of_votes.jsonl")
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    pairs.unlink()
    return {
        "preference_pairs": rows,
        "references": references,
        "prompts": list(PROMPTS[:2]),
        "greedy": [[reply.text for reply in each.replies] for each in found["greedy"].exchanges],
    }


def make_votes(transcript: Any) -> list[Any]:
    from registry.votes import Vote

    given = [((1, 3), "left", True), ((1, 3), "right", True), ((3, 1), "right", False), ((0, 1), "right", True)]
    return [
        Vote.on(transcript, panes, exchange=f"e{i}", voter="v", choice=choice, blind=blind, asked_at_s=1_700_000_000.0)
        for i, (panes, choice, blind) in enumerate(given)
    ]


def leave_undelivered_vote(transcript: Any) -> None:
    """A vote that was cast while the tracking server was away, and lies in ``outputs/votes``."""
    import mlflow
    from registry.ballot_box import BallotBox

    from registry.votes import Vote

    mlflow.set_tracking_uri("http://127.0.0.1:9")
    box = BallotBox(STORE / "outputs" / "votes")
    box.cast(Vote.on(transcript, (1, 3), exchange="late", voter="v", choice="left", blind=True,
                     asked_at_s=1_700_000_000.0))  # fmt: skip
    mlflow.set_tracking_uri(ENVIRONMENT["MLFLOW_TRACKING_URI"])
    box.close()


def kill_when(process: "subprocess.Popen[str]", seen: Any) -> None:
    """Kill ``process`` (and what it started) once ``seen()`` is true."""
    while not seen():
        assert process.poll() is None, "it ended before it could be interrupted"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def start(name: str, argv: Sequence[str], log: Path) -> "subprocess.Popen[str]":
    with log.open("w") as out:
        command = [sys.executable, "-m", f"steps.{name}", *argv]
        return subprocess.Popen(command, stdout=out, stderr=out, text=True, start_new_session=True)


def interrupted_run() -> dict[str, Any]:
    """A LoRA run with dropout that was killed after its second evaluation."""
    settings = {**PIRATE, "epochs": 3, "batch_size": 1, "dropout": 0.1, "rank": 4, "lr": 5e-3, "register_as": "resumed"}
    process = start("pirate", flags(**settings), CODE.parent / "log")

    def seen() -> bool:
        return any(json.loads(path.read_text())["step"] for path in STORE.glob("outputs/*/latest.json"))

    kill_when(process, seen)
    [pointer] = STORE.glob("outputs/*/latest.json")
    step = json.loads(pointer.read_text())["step"]
    return {"run_id": pointer.parent.name, "killed_after_step": step}


def interrupted_study() -> dict[str, Any]:
    """A study of four cells that was killed when the first had ended."""
    log = CODE.parent / "log"
    settings = {**NOISY, "kinds": "symmetric", "rates": "0.3", "seeds": "1,2", "folds": 1, "min_df": 1, "jobs": 1}
    del settings["rate"]
    process = start("study", flags(**settings, learners="tfidf"), log)
    kill_when(process, lambda: "1/4 " in log.read_text())
    [config] = (path for path in STORE.glob("outputs/*/config.json") if "seeds" in json.loads(path.read_text()))
    return {"run_id": config.parent.name}


def pack(archive: Path) -> None:
    """The store as one archive: no pictures, no locks, no times of its own, and equal files close together."""
    replace(STORE, platform.platform(), "Linux")
    compact()
    files = [path for path in STORE.rglob("*") if path.is_file() and path.suffix not in NOT_KEPT]
    with tarfile.open(archive, "w:xz", preset=9) as out:
        for path in sorted(files, key=lambda path: (path.suffix, path.name, str(path))):
            member = tarfile.TarInfo(str(path.relative_to(STORE)))
            member.size, member.mode = path.stat().st_size, 0o644
            out.addfile(member, io.BytesIO(path.read_bytes()))
    print(f"{archive}: {archive.stat().st_size / 1e6:.2f} MB, {len(files)} files")


def compact() -> None:
    """Write what lies in the databases' journals into the databases."""
    import sqlite3

    for path in STORE.glob("*.db"):
        with contextlib.closing(sqlite3.connect(path)) as rows:
            rows.execute("vacuum")
            rows.execute("pragma wal_checkpoint(truncate)")


def finish_run(run_id: str) -> dict[str, Any]:
    """How the old code ends the interrupted run."""
    from mlflow.tracking import MlflowClient

    step("pirate", flags(resume=run_id))
    client = MlflowClient()
    losses = client.get_metric_history(run_id, "train/loss")
    run = client.get_run(run_id)
    names = ("base/loss", "test/loss", "test/chrf", "eval/best_loss", "eval/loss")
    return {
        "train_loss": {point.step: point.value for point in losses if point.step % 12 == 0},
        "metrics": {name: run.data.metrics[name] for name in names if name in run.data.metrics},
        "verdict": run.data.tags["verdict"],
    }


def finish_study(run_id: str) -> dict[str, Any]:
    """How the old code ends the interrupted study."""
    from mlflow.tracking import MlflowClient

    step("study", flags(resume=run_id))
    return {"metrics": dict(MlflowClient().get_run(run_id).data.metrics)}


def answers() -> dict[str, Any]:
    """What each version answers through MLflow, and some logits of those that have any."""
    import mlflow
    from mlflow.tracking import MlflowClient

    found = {}
    for name in ("pirate/1", "pirate/2", "noisy/1", "noisy/2"):
        model = mlflow.pyfunc.load_model(f"models:/{name}")
        tfidf = name == "noisy/1"
        asked = TEXTS if tfidf or name.startswith("noisy") else PROMPTS
        found[name] = {"asked": list(asked), "answers": list(model.predict(list(asked)))}
        if tfidf:
            found[name]["probabilities"] = list(model.predict(list(asked), params={"probability": True}))
        else:
            logits = model.unwrap_python_model().logits(list(TOKEN_IDS))
            found[name] |= {"token_ids": list(TOKEN_IDS), "logits": logits[-1, :LOGITS].tolist()}
    config = mlflow.pyfunc.load_model("models:/remote@champion").unwrap_python_model().config
    version = MlflowClient().get_model_version("remote", "3")
    found["remote/3"] = {"model": config["model"], "base_url": config["base_url"], "tags": dict(version.tags)}
    assert not re.search(r"/(work|tmp|root|home)\b", json.dumps(found))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
