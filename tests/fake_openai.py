"""A small OpenAI-compatible API on loopback for tests and benchmarks: it records requests and fails on demand.

It serves HTTP from an event loop in a thread of its own, so that fifty slow answers cost nothing. Jobs move on by one
step each time they are looked at: what a test sees does not depend on the clock.
"""

import asyncio
import base64
import json
import math
import os
import random
import re
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KEY = "sk-parley-secret-0123456789abcdef"
START = 1763740000
LABELS = ("negative", "positive")
JSON = {"content-type": "application/json"}
#: (status, headers, body); a str for a body that is sent as it is.
Answer = tuple[int, dict[str, str], Any]
PAGE = 20
#: What the real API has for the error of a healthy job.
NULLS = {"code": None, "message": None, "param": None}


INVALID_REPLIES = [b"<html>sorry</html>", b'{"choices": []}', b'{"choi', b"{}", b"null", b"positive"]


class Dropped(Exception):
    """The connection is to be reset without an answer."""


@dataclass
class Fake:
    """The server's state and its switches.

    ``says(model, text) -> (answer, p of label 1)``. ``faults``: share of chats that fail. ``before``
    and ``after`` see every request's number, method and path around its handling; they may raise ``Dropped``.
    """

    says: Callable[[str, str], tuple[str, float]] = lambda model, text: (LABELS[1], 0.8)
    latency_s: float = 0.0
    steps: int = 45
    steps_a_look: int = 15
    epochs: int = 3
    faults: float = 0.0
    fault_kinds: tuple[str, ...] = ("429", "500", "timeout", "reset", "invalid")
    lacks: set[str] = field(default_factory=set)
    refusals: dict[str, Answer] = field(default_factory=dict)
    result_base64: bool = False
    nulls_error: bool = True
    fails: dict[str, Any] | None = None
    rate: tuple[float, float] | None = None  # requests in the bucket, refilled a second
    before: Callable[[int, str, str], None] = lambda number, method, path: None
    after: Callable[[int, str, str], None] = lambda number, method, path: None

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    chats: list[dict[str, Any]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    port: int = 0
    most_at_once: int = 0

    # Life

    def start(self) -> "Fake":
        """Listen on a free port."""
        ready = threading.Event()
        self._chance, self._flying, self._bucket = random.Random(5), 0, (0.0, 0.0)

        def run() -> None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
            sock = socket.create_server(("127.0.0.1", self.port), backlog=1000)
            self.port = sock.getsockname()[1]
            self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=sock, limit=2**26))
            ready.set()
            self._loop.run_forever()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._server.close()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        ready.wait(60)
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    # HTTP

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, _ = head[0].split(" ", 2)
                headers = {n.strip().lower(): v.strip() for n, _, v in (h.partition(":") for h in head[1:] if h)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                try:
                    status, extra, found = await self._answer(method, target, headers, body)
                except Dropped:
                    linger = struct.pack("ii", 1, 0)  # closing resets the connection
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    writer.close()
                    return
                raw = found if isinstance(found, bytes) else json.dumps(found).encode()
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(raw)}"]
                lines += [f"{name}: {value}" for name, value in {**JSON, **extra}.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + raw)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        parts = urlsplit(target)
        path, query = parts.path.removeprefix("/v1"), dict(parse_qsl(parts.query))
        self.keys.add(headers.get("authorization", ""))
        number = len(self.requests) + 1
        self.requests.append((method, path))
        self.before(number, method, path)
        known = self.refusals.get(f"{method} {path}")
        if known:
            return known
        if path == "/chat/completions":
            found = await self._chat(json.loads(body))
        else:
            found = self._route(method, path, query, headers, body)
        self.after(number, method, path)
        return found

    def _route(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> Answer:
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", r"/files", lambda: self._list_files(query)),
            ("POST", r"/files", lambda: self._upload(headers, body)),
            ("GET", r"/files/([^/]+)", lambda i: self.files[i]),
            ("GET", r"/files/([^/]+)/content", lambda i: self.contents[i]),
            ("POST", r"/fine_tuning/jobs", lambda: self._create(json.loads(body))),
            ("GET", r"/fine_tuning/jobs", lambda: self._list_jobs(query)),
            ("GET", r"/fine_tuning/jobs/([^/]+)", lambda i: self._look(i)),
            ("POST", r"/fine_tuning/jobs/([^/]+)/cancel", lambda i: self._cancel(i)),
            ("GET", r"/fine_tuning/jobs/([^/]+)/events", lambda i: self._page(self.events[i][::-1], query, PAGE, PAGE)),
            ("GET", r"/fine_tuning/jobs/([^/]+)/checkpoints", lambda i: self._page(self._checkpoints(i), query, 10)),
            ("POST", r"/batches", lambda: self._batch(json.loads(body))),
            ("GET", r"/batches", lambda: self._page(self._newest(self.batches), query, 20)),
            ("GET", r"/batches/([^/]+)", lambda i: self._look_at_batch(i)),
        ]  # fmt: skip
        for verb, pattern, handle in routes:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                if any(path.startswith(f"/{each}") or path.endswith(f"/{each}") for each in self.lacks):
                    break
                try:
                    return 200, {}, handle(*match.groups())
                except KeyError:
                    return error(404, f"No such object: {path}", "not_found")
                except ValueError as fault:
                    return error(400, str(fault), "invalid_request_error")
        return error(404, f"Unknown route {method} {path}", "unknown_url")

    def _newest(self, found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        return list(found.values())[::-1]

    def _page(self, whole: list[dict[str, Any]], query: dict[str, str], limit: int, most: int = 10000) -> Any:
        ids = [each["id"] for each in whole]
        start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
        size = min(int(query.get("limit", limit)), most)
        data = whole[start : start + size]
        more = start + size < len(whole)
        ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
        return {"object": "list", "data": data, "has_more": more, **ends}

    # Files

    def _list_files(self, query: dict[str, str]) -> Any:
        wanted = query.get("purpose")
        return self._page([f for f in self._newest(self.files) if wanted in (None, f["purpose"])], query, 10000)

    def _upload(self, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        mark = b"--" + headers["content-type"].partition("boundary=")[2].strip('"').encode()
        fields: dict[str, tuple[str, bytes]] = {}
        for part in body.split(mark)[1:-1]:
            head, _, content = part.strip(b"\r\n").partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]+)"', head)
            file = re.search(rb'filename="([^"]+)"', head)
            assert name
            fields[name[1].decode()] = (file[1].decode() if file else "", content)
        return self.keep_file(fields["file"][0], fields["file"][1] + b"\n", fields["purpose"][1].decode().strip())

    def keep_file(self, name: str, content: bytes, purpose: str) -> dict[str, Any]:
        made = {
            "id": f"file-{len(self.files) + 1}", "object": "file", "bytes": len(content),
            "created_at": START + len(self.files), "filename": name, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.files[made["id"]], self.contents[made["id"]] = made, content
        return made

    # Jobs

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["training_file"] not in self.files:
            raise ValueError("there is no such training_file")
        if "metadata" in self.lacks and asked.get("metadata"):
            raise ValueError("Unknown parameter: 'metadata'.")
        number = len(self.jobs) + 1
        model = asked["model"] if re.search(r"\d{4}$|\d\d-\d\d$", asked["model"]) else f"{asked['model']}-2024-07-18"
        made = {
            "object": "fine_tuning.job", "id": f"ftjob-{number}", "model": model, "created_at": START + number,
            "finished_at": None, "fine_tuned_model": None, "organization_id": "org-x", "result_files": [],
            "status": "validating_files", "validation_file": asked.get("validation_file"),
            "training_file": asked["training_file"], "hyperparameters": {"n_epochs": self.epochs},
            "trained_tokens": None, "error": NULLS if self.nulls_error else None,
            "user_provided_suffix": asked.get("suffix"), "seed": asked.get("seed", 1), "estimated_finish": None,
            "integrations": [], "metadata": asked.get("metadata"), "asked": asked, "step": 0,
        }  # fmt: skip
        self.jobs[made["id"]] = made
        self.events[made["id"]] = []
        self._add_event(made, f"Created fine-tuning job: {made['id']}")
        return made

    def _add_event(self, job: dict[str, Any], message: str, data: Any = None) -> None:
        told = self.events[job["id"]]
        told.append({
            "object": "fine_tuning.job.event", "id": f"ftevent-{job['id']}-{len(told) + 1}",
            "created_at": START + len(told), "level": "info", "message": message, "data": data,
            "type": "metrics" if data else "message",
        })  # fmt: skip

    def _list_jobs(self, query: dict[str, str]) -> Any:
        wanted = {m[1]: v for k, v in query.items() if (m := re.fullmatch(r"metadata\[(.+)\]", k))}
        if wanted and "metadata_filter" in self.lacks:
            raise ValueError("Unknown query parameter metadata")
        found = [
            j for j in self._newest(self.jobs) if all((j["metadata"] or {}).get(k) == v for k, v in wanted.items())
        ]
        return self._page(found, query, 20)

    def _look(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        if job["status"] == "validating_files":
            job["status"] = "queued"
            self._add_event(job, "Files validated, moving job to queued state")
        elif job["status"] == "queued":
            job["status"] = "running"
            self._add_event(job, "Fine-tuning job started")
        elif job["status"] == "running":
            self._train(job)
        return job

    def _train(self, job: dict[str, Any]) -> None:
        for _ in range(self.steps_a_look):
            if job["step"] >= self.steps:
                break
            job["step"] += 1
            step = job["step"]
            data = {"step": step, "total_steps": self.steps, "train_loss": round(0.7 - 0.01 * step, 4),
                    "train_mean_token_accuracy": round((2 + min(1.0, step / self.steps)) / 3, 4)}  # fmt: skip
            if step % (self.steps // self.epochs) == 0:
                data |= {"valid_loss": 0.25, "valid_mean_token_accuracy": 0.8}
            self._add_event(job, f"Step {step}/{self.steps}: training loss={data['train_loss']}", data)
        if job["step"] >= self.steps:
            self._end(job)

    def _end(self, job: dict[str, Any]) -> None:
        job["finished_at"] = START + 1000
        if self.fails:
            job["status"], job["error"] = "failed", self.fails
            self._add_event(job, "The job failed")
            return
        job["status"], job["trained_tokens"] = "succeeded", 12345
        job["fine_tuned_model"] = f"ft:{job['model']}:org-x:suffix:{job['id']}"
        lines = ["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"]
        lines += [f"{s},{0.7 - 0.01 * s:.4f},0.9,," for s in range(1, self.steps + 1)]
        raw = "\n".join(lines).encode()
        if self.result_base64:
            raw = base64.b64encode(raw)
        job["result_files"] = [self.keep_file("step_metrics.csv", raw, "fine-tune-results")["id"]]
        self._add_event(job, f"New fine-tuned model created: {job['fine_tuned_model']}")
        self._add_event(job, "The job has successfully completed")

    def _checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        job, each = self.jobs[job_id], self.steps // self.epochs
        found = []
        for step in range(each, self.steps + 1, each):
            model = job["fine_tuned_model"]
            found.append({
                "object": "fine_tuning.job.checkpoint", "id": f"ftckpt-{step}", "created_at": 1,
                "fine_tuning_job_id": job_id,
                "fine_tuned_model_checkpoint": model if step == self.steps else f"{model}:ckpt-step-{step}",
                "metrics": {"step": step, "train_loss": 0.2, "full_valid_loss": 0.3}, "step_number": step,
            })  # fmt: skip
        return found[::-1][:3]

    def _cancel(self, job_id: str) -> dict[str, Any]:
        job = self.jobs[job_id]
        if job["status"] in ("succeeded", "failed", "cancelled"):
            raise ValueError(f"the job has {job['status']} already")
        job["status"] = "cancelled"
        return job

    # Chats

    async def _chat(self, asked: dict[str, Any]) -> Answer:
        self._flying += 1
        self.most_at_once = max(self.most_at_once, self._flying)
        try:
            return await self._chatted(asked)
        finally:
            self._flying -= 1

    async def _chatted(self, asked: dict[str, Any]) -> Answer:
        self.chats.append(asked)
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        limits, over = self._limits()
        if over:
            self.failed["limited"] += 1
            return error(
                429, "Rate limit reached", "rate_limit_exceeded", {**limits, "retry-after-ms": str(int(over * 1000))}
            )
        if self._chance.random() < self.faults:
            kind = self._chance.choice(self.fault_kinds)
            self.failed[kind] += 1
            if kind == "timeout":
                await asyncio.sleep(30)
            if kind in ("timeout", "reset"):
                raise Dropped
            if kind == "invalid":
                return (
                    200,
                    {},
                    self._chance.choice(
                        [b"<html>sorry</html>", b'{"choices": []}', b'{"choi', b"{}", b"null", b"positive"]
                    ),
                )
            return error(int(kind), "try again", "server_error", {"retry-after-ms": "5"} if kind == "429" else {})
        if "logprobs" in self.lacks and asked.get("logprobs"):
            return error(400, "logprobs are not supported by this model", "unsupported")
        if asked.get("top_logprobs", 0) > 5 and "top20" in self.lacks:
            return error(400, "top_logprobs must be at most 5", "invalid")
        if "max_tokens" in self.lacks and "max_tokens" in asked:
            return error(400, "Unsupported parameter: use 'max_completion_tokens' instead", "unsupported_parameter")
        self.answered[json.dumps([asked["model"], asked["messages"]])] += 1
        if asked.get("stream"):
            return 200, {**limits, "content-type": "text/event-stream"}, streamed(self.completion(asked))
        return 200, limits, self.completion(asked)

    def completion(self, asked: dict[str, Any]) -> dict[str, Any]:
        said, p = self.says(asked["model"], asked["messages"][-1]["content"])
        whole = None
        if asked.get("logprobs"):
            pair = [
                {"token": t, "logprob": math.log(max(v, 1e-9)), "bytes": None}
                for t, v in zip(LABELS, (1 - p, p), strict=True)
            ]
            first = {**max(pair, key=lambda each: each["logprob"]), "top_logprobs": pair}
            whole = {"content": [first], "refusal": None}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": said, "refusal": None},
            "finish_reason": "stop",
            "logprobs": whole,
        }
        return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"],
                "choices": [choice],
                "usage": {"prompt_tokens": 50, "completion_tokens": 1, "total_tokens": 51}}  # fmt: skip

    def _limits(self) -> tuple[dict[str, str], float]:
        """The headers of a bucket that fills up evenly, and how long to wait where it is empty."""
        if not self.rate:
            return {}, 0.0
        most, a_second = self.rate
        at, left = self._bucket
        now = time.monotonic()
        left = min(most, left + (now - at) * a_second) if at else most
        over = 0.0 if left >= 1 else (1 - left) / a_second
        left -= 0 if over else 1
        self._bucket = now, left
        reset = (most - left) / a_second
        return {"x-ratelimit-limit-requests": f"{most:g}", "x-ratelimit-remaining-requests": str(int(left)),
                "x-ratelimit-reset-requests": f"{reset:.3f}s"}, over  # fmt: skip

    # Batches

    def _batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        made = {
            "id": f"batch-{len(self.batches) + 1}", "object": "batch", "endpoint": asked["endpoint"], "errors": None,
            "input_file_id": asked["input_file_id"], "completion_window": "24h", "status": "validating",
            "output_file_id": None, "error_file_id": None, "created_at": 1, "metadata": asked.get("metadata"),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }  # fmt: skip
        self.batches[made["id"]] = made
        return made

    def _look_at_batch(self, batch_id: str) -> dict[str, Any]:
        batch = self.batches[batch_id]
        if batch["status"] == "validating":
            batch["status"] = "in_progress"
        elif batch["status"] == "in_progress":
            lines = [json.loads(line) for line in self.contents[batch["input_file_id"]].splitlines() if line.strip()]
            good, bad = [], []
            for line in lines:
                if self._chance.random() < self.faults:
                    bad.append(
                        {
                            "id": "x",
                            "custom_id": line["custom_id"],
                            "response": None,
                            "error": {"code": "batch_expired", "message": "too late"},
                        }
                    )
                else:
                    self.answered[json.dumps([line["body"]["model"], line["body"]["messages"]])] += 1
                    body = self.completion(line["body"])
                    good.append(
                        {
                            "id": "x",
                            "custom_id": line["custom_id"],
                            "response": {"status_code": 200, "request_id": "r", "body": body},
                            "error": None,
                        }
                    )
            self._chance.shuffle(good)
            for name, found in (("output_file_id", good), ("error_file_id", bad)):
                if found:
                    batch[name] = self.keep_file(
                        "out.jsonl", "\n".join(map(json.dumps, found)).encode(), "batch_output"
                    )["id"]
            batch["status"], batch["request_counts"] = (
                "completed",
                {"total": len(lines), "completed": len(good), "failed": len(bad)},
            )
        return batch


@contextmanager
def at_hand(patch: Any, **settings: Any) -> Iterator[Fake]:
    """A started server, which the environment names with its key for as long; ``patch`` is pytest's monkeypatch."""
    fake = Fake(**settings).start()
    for name in [each for each in os.environ if each.startswith("OPENAI_")]:
        patch.delenv(name)
    patch.setenv("OPENAI_BASE_URL", fake.address)
    patch.setenv("OPENAI_API_KEY", KEY)
    try:
        yield fake
    finally:
        fake.stop()


def error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> Answer:
    """OpenAI's envelope."""
    return status, headers or {}, {"error": {"message": message, "type": "x", "param": None, "code": code}}


def streamed(completion: dict[str, Any]) -> bytes:
    """A completion as a stream of server-sent events."""
    choice = completion["choices"][0]
    parts = [({"role": "assistant", "content": choice["message"]["content"]}, None), ({}, choice["finish_reason"])]
    lines = []
    for delta, ended in parts:
        chunk = {"index": 0, "delta": delta, "finish_reason": ended}
        lines.append({**completion, "object": "chat.completion.chunk", "choices": [chunk]})
    return b"".join(f"data: {json.dumps(line)}\n\n".encode() for line in lines) + b"data: [DONE]\n\n"


def kill_at(pid: int, number: int) -> Callable[[int, str, str], None]:
    """A ``before`` or ``after`` that kills a process at request ``number``, and leaves it without an answer."""

    def act(seen: int, method: str, path: str) -> None:
        if seen == number:
            os.kill(pid, signal.SIGKILL)
            raise Dropped

    return act
