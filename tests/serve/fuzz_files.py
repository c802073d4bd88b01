"""Training files in which one line is broken, and what is wrong with the refusal of such a file."""

import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
from hypothesis import strategies as st

from tests.serve.fuzz import ENVELOPE, QUIET
from tests.serve.known_objects import USER
from tests.serve.served import Served, training_lines

#: A line is named by its row, and by itself too where blank lines stand before.
PLACE = re.compile(r"row (\d+)(?: \(line (\d+)\))?: (.+)")
ANSWER = {"role": "assistant", "content": "Ahoy!"}


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
