"""Answers of an exported Space: its app is started in a process of its own and is called through gradio_client."""

import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

TIMEOUT_S = 600


def main(task_path: str, result_path: str) -> None:
    """Read the task, start the app, call it, and write the result; see the package's docstring.

    Log-probabilities are unknown (None): the app names none.
    """
    with open(task_path, encoding="utf-8") as stream:
        task = json.load(stream)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    if task["threads"]:
        env["OMP_NUM_THREADS"] = str(task["threads"])
    app = subprocess.Popen([sys.executable, "-I", "app.py"], cwd=task["folder"], env=env, stdout=subprocess.DEVNULL)
    try:
        client = _client(app, f"http://127.0.0.1:{port}")
        answers = [
            client.predict(messages, task["max_new_tokens"], api_name="/compare")["version"]
            for messages in task["messages"]
        ]
    finally:
        app.terminate()
        app.wait()
    result = {
        "prompts": [each["prompt"] for each in answers],
        "tokens": [each["tokens"] for each in answers],
        "texts": [each["text"] for each in answers],
        "log_probs": [[None] * len(tokens) for tokens in task["tokens"]],
        "vocabulary": answers[0]["vocabulary"],
    }
    with open(result_path, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


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
