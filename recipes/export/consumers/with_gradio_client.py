"""Answers of an exported Space: its app is started in a process of its own and is called through gradio_client."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

TIMEOUT_S = 600


def main(task_path: str, result_path: str) -> None:
    """Read the task, start the app, call it, and write the result; see the package's docstring.

    Log-probabilities are unknown (None): the app names none.
    """
    with open(task_path, encoding="utf-8") as stream:
        task = json.load(stream)
    if task["fresh_environment"]:
        with tempfile.TemporaryDirectory() as place:
            answers = answers_of(task, new_environment(place, f"{task['folder']}/requirements.txt"))
    else:
        answers = answers_of(task, sys.executable)
    result = {
        "prompts": [each["prompt"] for each in answers],
        "tokens": [each["tokens"] for each in answers],
        "texts": [each["text"] for each in answers],
        "log_probs": [[None] * len(tokens) for tokens in task["tokens"]],
        "vocabulary": answers[0]["vocabulary"],
    }
    with open(result_path, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


def new_environment(place: str, requirements: str) -> str:
    """The Python of a virtual environment at ``place`` that has what the file ``requirements`` names.

    Raises:
        RuntimeError: pip can't install it; the message is pip's last line.
    """
    venv.create(place, with_pip=True)
    python = str(Path(place) / ("Scripts" if os.name == "nt" else "bin") / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise RuntimeError(f"pip install -r requirements.txt: {done.stderr.strip().splitlines()[-1]}")
    return python


def answers_of(task: dict[str, Any], python: str) -> list[dict[str, Any]]:
    """What the app in the task's folder answers to each conversation, run by ``python``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    if task["threads"]:
        env["OMP_NUM_THREADS"] = str(task["threads"])
    app = subprocess.Popen([python, "-I", "app.py"], cwd=task["folder"], env=env, stdout=subprocess.DEVNULL)
    try:
        client = _client(app, f"http://127.0.0.1:{port}")
        return [
            client.predict(messages, task["max_new_tokens"], api_name="/compare")["version"]
            for messages in task["messages"]
        ]
    finally:
        app.terminate()
        app.wait()


def _client(app: Any, address: str) -> Any:
    """A client of the app, as soon as it answers.

    Raises:
        RuntimeError: it ends, or does not answer in time.
    """
    from gradio_client import Client

    until = time.monotonic() + TIMEOUT_S
    while time.monotonic() < until:
        if app.poll() is not None:
            raise RuntimeError(f"app.py ended with exit code {app.returncode}")
        try:
            return Client(address, verbose=False)
        except Exception:  # it is not up yet; what the client raises for that has no common class
            time.sleep(0.5)
    raise RuntimeError("app.py does not answer")


if __name__ == "__main__":
    main(*sys.argv[1:])
