"""A server as a process of its own, on a port of its own, and the real SDK as its client."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import openai

from serve.store.tables import FINISHED
from tests.processes import PATIENCE_S, Launcher, Step, free_port, wait_until

KEY = "sk-of-the-tests-own"
EXAMPLES = (("Where is the boat?", "In the harbour."), ("Is it late?", "Aye, it is."), ("Who are you?", "A sailor."))


class Served:
    """A server in ``folder``: started, killed and started again on the same store, database and port.

    ``flags``: settings other than those of a small, quiet server.
    """

    def __init__(self, launcher: Launcher, folder: Path, store: str, **flags: Any):
        self.launcher, self.folder = launcher, folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.database = flags.pop("database", f"sqlite:///{folder / 'serve.db'}")
        self.env = {
            "MLFLOW_TRACKING_URI": store, "PARLEY_OUTPUTS": str(folder / "outputs"), "PARLEY_SERVE_KEY": KEY,
            "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1",
        }  # fmt: skip
        settings = {"port": self.port, "database": self.database, **flags}
        self.argv = [f"--{name}={value}" for name, value in settings.items()]
        self.step: Step | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        step = self.launcher.start("steps.serve", self.argv, self.env, self.folder)
        self.step = step
        step.wait_for(lambda: "Parley server: " in step.stdout, "its address")
        return self

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        assert self.step
        self.step.signal(signal.SIGKILL)
        self.step.wait()

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        assert self.step
        self.step.signal(signal.SIGTERM)
        return self.step.wait()

    def client(self, key: str = KEY, strict: bool = True, **settings: Any) -> openai.OpenAI:
        """The SDK; in strict mode a reply that is not what its types say is an error."""
        settings = {"max_retries": 0, "timeout": 240, **settings}
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, _strict_response_validation=strict, **settings)

    def http(self, key: str = KEY) -> Any:
        """An HTTP client, for requests that the SDK would not send."""
        import httpx

        headers = {"authorization": f"Bearer {key}", "x-api-key": f"tml-{key}"} if key else {}
        return httpx.Client(base_url=self.address, headers=headers, timeout=240, trust_env=False)

    def metric(self, name: str) -> float:
        """The value of a metric, named with its labels; 0 where it is not there yet."""
        lines = self.http("").get("/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)


def training_lines(count: int = 12, **more: Any) -> bytes:
    """A training file of so many rows."""
    rows = []
    for i in range(count):
        question, answer = EXAMPLES[i % len(EXAMPLES)]
        messages = [{"role": "user", "content": f"{question} ({i})"}, {"role": "assistant", "content": answer}]
        rows.append(json.dumps({"messages": messages, **more}))
    return ("\n".join(rows) + "\n").encode()


def upload(client: openai.OpenAI, content: bytes | None = None, name: str = "rows.jsonl", purpose: Any = "fine-tune"):
    """Upload ``content``, or twelve rows; returns the file's id."""
    found = client.files.create(file=(name, training_lines() if content is None else content), purpose=purpose)
    return found.id


def ended(client: openai.OpenAI, job_id: str, timeout_s: float = PATIENCE_S) -> Any:
    """The job, once it has ended."""

    def found() -> Any:
        job = client.fine_tuning.jobs.retrieve(job_id)
        return job if job.status in FINISHED else None

    return wait_until(found, f"the end of {job_id}", timeout_s, pause_s=0.1)


@contextmanager
def refused(kind: type[openai.APIStatusError], *words: str, **fields: Any) -> Iterator[None]:
    """The request within gets an error of ``kind`` that has these ``fields``, and a message with all ``words``."""
    try:
        yield
    except kind as error:
        assert isinstance(error.body, dict), error.body
        assert set(error.body) == {"message", "type", "param", "code"}, error.body
        assert [word for word in words if word not in error.body["message"]] == [], error.body
        assert {name: error.body[name] for name in fields} == fields
        assert error.request_id and error.request_id.startswith("req_")
    else:
        raise AssertionError(f"there was no {kind.__name__}")


def error_of(reply: Any) -> dict[str, Any]:
    """The error of a raw reply, which is in OpenAI's envelope."""
    body = reply.json()
    assert list(body) == ["error"] and set(body["error"]) == {"message", "type", "param", "code"}, body
    return body["error"]
