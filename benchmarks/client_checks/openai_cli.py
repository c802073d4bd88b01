"""The command ``openai`` of the package's first version against the server; run by ``benchmarks.clients``.

Later versions of the package have no command.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.client_checks.checks import MODEL, capability, run_all

CHAT = ("chat.completions.create", "-m", MODEL, "-g", "user", "Say hello.", "-M", "8")


def run(*words: str, fails: bool = False) -> str:
    """What ``openai api`` prints; of a refusal the words."""
    done = subprocess.run(["openai", "api", *words], capture_output=True, text=True, timeout=240)
    assert bool(done.returncode) == fails, done.stderr or done.stdout
    return done.stderr if fails else done.stdout


def rows() -> str:
    """A training file."""
    place = Path(tempfile.mkdtemp()) / "rows.jsonl"
    turns = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]
    place.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(10)))
    return str(place)


@capability("api models.list, models.retrieve")
def models() -> None:
    assert MODEL in run("models.list")
    assert json.loads(run("models.retrieve", "-i", MODEL))["id"] == MODEL


@capability("api chat.completions.create")
def chat() -> None:
    assert run(*CHAT).strip()


@capability("api chat.completions.create --stream")
def stream() -> None:
    assert run(*CHAT, "--stream").strip()


@capability("api completions.create")
def completions() -> None:
    assert run("completions.create", "-m", MODEL, "-p", "One two three", "-M", "8", "--stream")


@capability("api files.create, files.list, fine_tuning.jobs.create, .list_events, .cancel")
def jobs() -> None:
    uploaded = json.loads(run("files.create", "-f", rows(), "-p", "fine-tune"))["id"]
    assert uploaded in run("files.list")
    made = json.loads(run("fine_tuning.jobs.create", "-m", MODEL, "-F", uploaded))["id"]
    assert made in run("fine_tuning.jobs.list") and json.loads(run("fine_tuning.jobs.list_events", "-i", made))["data"]
    assert json.loads(run("fine_tuning.jobs.cancel", "-i", made))["status"] == "cancelled"


@capability("api images.generate")
def image() -> str:
    words = run("images.generate", "-p", "A boat.", fails=True)
    assert "404" in words, words
    return words.replace("\x1b[91m", "").replace("\x1b[0m", "")  # its colours


run_all()
