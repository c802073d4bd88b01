"""Objects that a server has, for made-up requests to be about: files, jobs, models, responses, Tinker's sessions."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from serve.http.tinker_messages import CLASSES, FLOAT32, INT64
from serve.store import checkpoints
from serve.store.database import Database
from tests.processes import wait_until
from tests.serve.served import Served, upload

USER = {"role": "user", "content": "Hi."}
URL = "/v1/chat/completions"
MODELS = ["bundled", "gpt-4o-mini"]
#: Names whose values any project may use.
SHARED = {"model", "base_model", "endpoint", "completion_window"}
TINKER = "/api/v1"
LOSSES = ("cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "")
INPUTS = ("target_tokens", "weights", "logprobs", "advantages", "others")


def known_ids(served: Served) -> dict[str, list[str]]:
    """Values that are there, by the names that requests have for them."""
    tinker = _tinker_ids(served)
    return {**_openai_ids(served, tinker["fine_tuned"]), **tinker}


def _openai_ids(served: Served, fine_tuned: list[str]) -> dict[str, list[str]]:
    client = served.client(strict=False)
    files = [upload(client) for _ in range(2)]
    body = {"model": "bundled", "messages": [USER], "max_tokens": 2}
    line = {"custom_id": "a", "method": "POST", "url": URL, "body": body}
    lines = upload(client, json.dumps(line).encode(), "batch.jsonl", "batch")
    job = client.fine_tuning.jobs.create(model="bundled", training_file=files[0])
    client.fine_tuning.jobs.cancel(job.id)
    _add_checkpoint(served, job.id, fine_tuned[0])
    permissions = client.fine_tuning.checkpoints.permissions.create(fine_tuned[0], project_ids=["lab7"]).data
    batch = client.batches.create(input_file_id=lines, endpoint=URL, completion_window="24h")
    responses = [client.responses.create(model="bundled", input="Hi.", max_output_tokens=16).id for _ in range(2)]
    return {
        "file_id": [*files, lines],
        "training_file": files,
        "validation_file": files,
        "input_file_id": [lines],
        "job_id": [job.id],
        "batch_id": [batch.id],
        "response_id": responses,
        "previous_response_id": responses,
        "checkpoint": fine_tuned,
        "permission_id": [each.id for each in permissions],
        "model": [*MODELS, *fine_tuned],
        "base_model": MODELS,
        "after": [*files, job.id],
        "endpoint": [URL],
        "completion_window": ["24h"],
    }


def _add_checkpoint(served: Served, job_id: str, model: str) -> None:
    """Let ``model`` be the job's, so that it has permissions, without a training."""
    database = Database(served.database)
    with database.write() as connection:
        checkpoints.add(connection, job_id, 1, model, {})
    database.close()


def _tinker_ids(served: Served) -> dict[str, list[str]]:
    http = served.http()

    def send(path: str, /, **body: Any) -> dict[str, Any]:
        return http.post(f"{TINKER}/{path}", json=body).raise_for_status().json()

    def result(request_id: str) -> dict[str, Any]:
        def found() -> Any:
            reply = http.post(f"{TINKER}/retrieve_future", json={"request_id": request_id})
            return None if reply.status_code == 408 else reply.json()

        return wait_until(found, request_id)

    session = send("create_session")["session_id"]
    made = send("create_model", session_id=session, model_seq_id=0, base_model=MODELS[1], lora_config={"rank": 2})
    result(made["request_id"])
    model = made["model_id"]
    saved = send("save_weights", model_id=model, seq_id=1, path="known", overwrite=True)
    path = result(saved["request_id"])["path"]
    begun = send("create_sampling_session", session_id=session, sampling_session_seq_id=0, base_model=MODELS[1])
    sampler = begun["sampling_session_id"]
    tuned = [each.id for each in served.client(strict=False).models.list() if each.id.startswith("ft:")]
    return {
        "session_id": [session],
        "model_id": [model],
        "request_id": [made["request_id"], saved["request_id"]],
        "sampling_session_id": [sampler],
        "sampler_id": [sampler],
        "tinker_path": [path],
        "model_path": [path],
        "path": [path, "again"],
        "fine_tuned": tuned,
    }


def close(served: Served, known: Mapping[str, list[str]]) -> None:
    """End the session, whose models others need room for, unless it has ended."""
    served.http().post(f"{TINKER}/sessions/{known['session_id'][0]}/finish", json={})


def training_requests(known: Mapping[str, list[str]]) -> st.SearchStrategy[bytes]:
    """Bodies of ``forward_backward``: mostly about a model that is there, with data right and wrong."""
    return st.builds(
        _training_request,
        st.sampled_from([*known["model_id"], "session-none:train:0", ""]),
        st.integers(-1, 2**31 - 1),
        st.lists(_data(), max_size=3),
        st.sampled_from(LOSSES),
        st.booleans(),
    )


def _training_request(model_id: str, number: int, data: list[Any], loss: str, forward_only: bool) -> bytes:
    fields = {"model_id": model_id, "seq_id": number, "loss_fn": loss, "forward_only": forward_only}
    return CLASSES["ForwardBackwardRequest"](data=data, **fields).SerializeToString()


@st.composite
def _data(draw: Any) -> Any:
    """A datum: its tensors are mostly as long as its tokens, of known types, and of finite values."""
    count = draw(st.integers(0, 5))
    tokens = draw(st.lists(st.integers(-1, 700), min_size=count, max_size=count))
    chunk = CLASSES["Chunk"](encoded_text=CLASSES["EncodedText"](tokens=np.array(tokens, "<i4").tobytes()))
    datum = CLASSES["Datum"](model_input=[chunk] if draw(st.integers(0, 9)) else [CLASSES["Chunk"]()])
    for name in draw(st.sets(st.sampled_from(INPUTS), min_size=1)):
        size = count if draw(st.integers(0, 4)) else draw(st.integers(0, 6))
        kind = draw(st.sampled_from([INT64 if name == INPUTS[0] else FLOAT32] * 6 + [INT64, FLOAT32, 0, 7]))
        values = draw(st.lists(st.integers(-1, 700), min_size=size, max_size=size))
        floats = draw(st.sampled_from([1.0] * 5 + [float("nan"), float("inf"), -1e30]))
        dense = np.array(values, "<i8") if kind == INT64 else np.array(values, "<f4") * np.float32(floats)
        raw = dense.tobytes() if draw(st.integers(0, 9)) else dense.tobytes()[1:]
        datum.loss_fn_inputs[name].CopyFrom(CLASSES["Tensor"](dense=raw, dtype=kind, shape=[size]))
    return datum
