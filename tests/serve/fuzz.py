"""Requests made up from the server's OpenAPI page, and training files in which one line is broken."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

from serve.http.chat_schema import ChatRequest
from tests.serve.served import Served, training_lines, upload

#: A line is named by its row, and by itself too where blank lines stand before.
PLACE = re.compile(r"row (\d+)(?: \(line (\d+)\))?: (.+)")
ENVELOPE = {"message", "type", "param", "code"}
URL = "/v1/chat/completions"
#: What limits the answers of each route that generates text.
SHORTENED = {URL: "max_tokens", "/v1/completions": "max_tokens", "/v1/responses": "max_output_tokens"}
USER, ANSWER = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Ahoy!"}
QUIET: Any = {"database": None, "deadline": None, "suppress_health_check": list(hypothesis.HealthCheck)}


schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")


@dataclass
class Tally:
    """Replies by route and status, and what went wrong."""

    replies: Counter[tuple[str, int]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """Replies of 5xx."""
        return sum(count for (_, status), count in self.replies.items() if status >= 500)


# Requests


def fuzz_routes(served: Served, requests: int, seed: int) -> Tally:
    """So many requests to each route of the server's own page."""
    warnings.filterwarnings("ignore", module="schemathesis")
    schema = schemathesis.openapi.from_url(f"{served.address}/openapi.json")
    known, tally, http = known_ids(served), Tally(), served.http()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda each: each.method.lower() == "delete"):  # these come last

        @hypothesis.settings(max_examples=requests, **QUIET)
        @hypothesis.seed(seed)
        @hypothesis.given(case=cases_of(operation), some=st.randoms(use_true_random=False))
        def send(case: Any, some: Any) -> None:
            if some.random() < 0.5:
                use_known(case, known, some)
            reply = case.call(base_url=served.address, session=None, headers=dict(http.headers), timeout=60)
            tally.replies[case.operation.label, reply.status_code] += 1
            tally.problems += problems_of(case, reply)

        send()
    return tally


def cases_of(operation: Any) -> Any:
    """Requests as the page allows them and, as often, such as it does not."""
    both = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]
    return both[0] | both[1]


def known_ids(served: Served) -> dict[str, list[str]]:
    """Ids that are there, by the names that requests have for them."""
    client = served.client(strict=False)
    files = [upload(client) for _ in range(2)]
    body = {"model": "bundled", "messages": [USER], "max_tokens": 2}
    line = {"custom_id": "a", "method": "POST", "url": URL, "body": body}
    lines = upload(client, json.dumps(line).encode(), "batch.jsonl", "batch")
    job = client.fine_tuning.jobs.create(model="bundled", training_file=files[0])
    client.fine_tuning.jobs.cancel(job.id)
    batch = client.batches.create(input_file_id=lines, endpoint=URL, completion_window="24h")
    return {
        "file_id": [*files, lines],
        "training_file": files,
        "validation_file": files,
        "input_file_id": [lines],
        "job_id": [job.id],
        "batch_id": [batch.id],
        "model": ["bundled", "gpt-4o-mini"],
        "after": [*files, job.id],
        "endpoint": [URL],
        "completion_window": ["24h"],
    }


def use_known(case: Any, known: Mapping[str, list[str]], some: Any) -> None:
    """Let the request be about things that are there, and a chat be one that may be answered, shortly."""
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            for name in set(place) & set(known):
                place[name] = some.choice(known[name])
    if isinstance(case.body, dict) and "messages" in case.body:
        for name in set(case.body) - set(ChatRequest.model_fields):
            del case.body[name]
    if isinstance(case.body, dict) and case.operation.path in SHORTENED:
        case.body[SHORTENED[case.operation.path]] = some.randint(1, 8)


def problems_of(case: Any, reply: Any) -> Iterator[str]:
    """What is wrong with a reply, in a line."""
    shown = f"{case.operation.label} {reply.status_code}"
    if reply.status_code >= 500:
        yield f"{shown}: {reply.text[:200]} <- {case.as_curl_command()[:600]}"
    elif reply.status_code >= 400:
        try:
            fine = set(reply.json()["error"]) == ENVELOPE
        except (ValueError, KeyError, TypeError):
            fine = False
        if not fine:
            yield f"{shown} has no envelope: {reply.text[:200]}"


# Files


def fuzz_files(served: Served, files: int, seed: int) -> Iterator[str]:
    """Upload so many broken files; of each, what is wrong with its refusal, or an empty text."""
    http, found = served.http(), []

    @hypothesis.settings(max_examples=files, **QUIET)
    @hypothesis.seed(seed)
    @hypothesis.given(broken=broken_files())
    def send(broken: tuple[bytes, int]) -> None:
        if len(found) < files:
            content, line = broken
            reply = http.post("/v1/files", data={"purpose": "fine-tune"}, files={"file": ("rows.jsonl", content)})
            found.append(problem_of_refusal(reply, line, content))

    send()
    yield from found


def broken_files() -> Any:
    """(a training file with one broken line, that line's number): blank lines, strange types, odd roles, half JSON."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
    anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner))
    values = st.one_of(
        anything.filter(lambda each: not isinstance(each, dict)),
        st.dictionaries(texts.filter(lambda each: each != "messages"), scalars, max_size=3),
        anything.filter(lambda each: not isinstance(each, list)).map(lambda each: {"messages": each}),
        broken_messages(texts, scalars).map(lambda each: {"messages": each}),
    )
    whole = json.dumps({"messages": [USER, ANSWER]}).encode()
    halves = st.integers(1, len(whole) - 1).map(lambda end: whole[:end])
    no_text = st.binary(max_size=8).map(lambda raw: whole[:20] + b"\xff" + raw.replace(b"\n", b"") + b"}")
    lines = st.one_of(values.map(lambda value: json.dumps(value).encode()), halves, no_text)
    return st.builds(_with_line, lines, st.integers(0, 12), st.integers(0, 3))


def broken_messages(texts: Any, scalars: Any) -> Any:
    """Lists that are no conversation to learn from."""
    not_text = st.one_of(st.none(), st.booleans(), st.integers(), st.lists(st.integers(), max_size=2), st.just(" \n"))
    role = texts.filter(lambda each: each not in ("system", "user", "assistant"))
    key = texts.filter(lambda each: each not in ("role", "content", "weight", "name"))
    turns = ([], [USER], [ANSWER], [USER, USER, ANSWER], [USER, ANSWER, USER])
    return st.one_of(
        st.sampled_from(turns),
        st.lists(scalars, min_size=1, max_size=3),
        not_text.map(lambda content: [{**USER, "content": content}, ANSWER]),
        not_text.map(lambda content: [USER, {**ANSWER, "content": content}]),
        role.map(lambda each: [{**USER, "role": each}, ANSWER]),
        st.integers(2).map(lambda weight: [USER, {**ANSWER, "weight": weight}]),
        key.map(lambda each: [USER, {**ANSWER, each: 1}]),
    )


def _with_line(line: bytes, at: int, blanks: int) -> tuple[bytes, int]:
    rows = training_lines(12).splitlines()
    whole = [*rows[:at], *[b""] * blanks, line, *rows[at:]]
    return b"\n".join(whole) + b"\n", at + blanks + 1


def problem_of_refusal(reply: Any, line: int, content: bytes) -> str:
    """What is wrong with the refusal of a file whose ``line`` is broken; empty where nothing is."""
    shown = f"{reply.status_code} {reply.text[:200]} <- {content.splitlines()[line - 1][:120]!r}"
    if reply.status_code != 400 or set(reply.json().get("error", ())) != ENVELOPE:
        return shown
    place = PLACE.search(reply.json()["error"]["message"])
    return "" if place and int(place[2] or place[1]) == line else shown
