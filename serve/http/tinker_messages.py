"""The protocol buffers of Tinker's API: requests of ``forward_backward``, and its and samples' results.

Only field numbers and types are on the wire. They are written here as tables, from which protobuf makes the messages;
a compiled ``_pb2`` module would be bound to the version of protobuf that wrote it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from serve.errors import RequestError
from train.token_losses import Datum

PACKAGE = "parley_tinker"
#: Fields by message: (number, name, type). A type that is no scalar is a message; ``*`` before it: repeated; ``{}``
#: after it: the values of a map by text; ``?`` after it: its presence counts.
MESSAGES: Mapping[str, Sequence[tuple[int, str, str]]] = {
    "SparseCsr": [(1, "values", "bytes"), (2, "crow_indices", "bytes"), (3, "col_indices", "bytes")],
    "Tensor": [(1, "dense", "bytes"), (2, "sparse_csr", "SparseCsr"), (3, "dtype", "int32"), (4, "shape", "*int64")],
    "EncodedText": [(1, "tokens", "bytes")],
    "Other": [],
    "Chunk": [(1, "encoded_text", "EncodedText"), (2, "image", "Other"), (3, "dmel", "Other")],
    "Datum": [
        (1, "model_input", "*Chunk"),
        (2, "loss_fn_inputs", "Tensor{}"),
        (3, "model_input_spans", "*Other"),
        (4, "loss_fn_input_spans", "*Other"),
    ],
    "Setting": [(1, "number", "double"), (2, "text", "string?")],
    "ForwardBackwardRequest": [
        (1, "model_id", "string"),
        (2, "seq_id", "int32"),
        (3, "data", "*Datum"),
        (4, "loss_fn", "string"),
        (5, "loss_fn_config", "double{}"),
        (6, "forward_only", "bool"),
        (7, "loss_fn_config_v2", "Setting{}"),
    ],
    "BatchedTensor": [
        (1, "data", "bytes"),
        (2, "offsets", "bytes"),
        (3, "dtype", "int32"),
        (4, "trailing_shape", "*int64"),
    ],
    "ArrayRecord": [(1, "type_tag", "string"), (2, "fields", "BatchedTensor{}"), (3, "num_datums", "int64")],
    "ForwardBackwardOutput": [
        (1, "loss_fn_output_type", "string"),
        (2, "loss_fn_outputs", "*ArrayRecord"),
        (3, "metrics", "double{}"),
    ],
    "TopkLogprobs": [(1, "token_ids", "bytes"), (2, "logprobs", "bytes"), (3, "k", "uint32"), (4, "length", "uint32")],
    "SampledSequence": [
        (1, "stop_reason", "int32"),
        (2, "tokens", "bytes"),
        (3, "logprobs", "bytes?"),
        (4, "topk_sampled_logprobs", "TopkLogprobs"),
    ],
    "SampleResponse": [
        (1, "sequences", "*SampledSequence"),
        (2, "prompt_logprobs", "bytes?"),
        (3, "topk_prompt_logprobs", "TopkLogprobs"),
        (4, "prompt_cache_hit_tokens", "int32"),
    ],
}
FLOAT32, INT64 = 1, 2
DTYPES = {FLOAT32: np.float32, INT64: np.int64}
NO_TOKEN = 0, -99999.0  # as the SDK fills rows that are too short
STOP_REASONS = {"stop": 0, "length": 1}
_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = ("bytes", "string", "int32", "int64", "uint32", "bool", "double")


def _message(file: Any, name: str, fields: Sequence[tuple[int, str, str]]) -> None:
    """Add the description of a message to ``file``."""
    message = file.message_type.add(name=name)
    for number, field, kind in fields:
        added = message.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
        plain = kind.strip("*?").removesuffix("{}")
        if kind.endswith("{}"):
            entry = message.nested_type.add(name="".join(part.title() for part in field.split("_")) + "Entry")
            entry.options.map_entry = True
            for at, (key, value) in enumerate((("key", "string"), ("value", plain)), 1):
                _typed(entry.field.add(name=key, number=at, label=_FIELD.LABEL_OPTIONAL), value)
            plain = f"{name}.{entry.name}"
        if kind.endswith("{}") or kind.startswith("*"):
            added.label = _FIELD.LABEL_REPEATED
        if kind.endswith("?"):
            added.proto3_optional, added.oneof_index = True, len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field}")
        _typed(added, plain)


def _typed(field: Any, kind: str) -> None:
    if kind in _SCALARS:
        field.type = getattr(_FIELD, f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{PACKAGE}.{kind}"


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="parley_tinker.proto", package=PACKAGE, syntax="proto3")
    for name, fields in MESSAGES.items():
        _message(file, name, fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportAttributeAccessIssue]
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))  # pyright: ignore
        for name in MESSAGES
    }


CLASSES = _classes()


def read_request(body: bytes) -> Any:
    """The ``ForwardBackwardRequest`` in ``body``.

    Raises:
        RequestError: it is none.
    """
    request = CLASSES["ForwardBackwardRequest"]()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise RequestError(f"The body is no ForwardBackwardRequest of Tinker's API: {error}") from error
    return request


def settings_of(request: Any) -> dict[str, float]:
    """``loss_fn_config`` of a ``ForwardBackwardRequest``.

    Raises:
        RequestError: a setting is a text.
    """
    for name, value in request.loss_fn_config_v2.items():
        if value.HasField("text"):
            raise RequestError(f"loss_fn_config: {name} must be a number", param="loss_fn_config")
    return {**request.loss_fn_config, **{name: each.number for name, each in request.loss_fn_config_v2.items()}}


def datum_of(message: Any) -> Datum:
    """What is trained of a ``Datum`` message.

    Raises:
        RequestError: it holds more than token ids, or a tensor that is malformed or not one value a token.
    """
    if message.model_input_spans or message.loss_fn_input_spans:
        raise RequestError("provenance of tokens is not supported: leave with_provenance out", param="data")
    if not all(chunk.HasField("encoded_text") for chunk in message.model_input):
        raise RequestError("model_input: only token ids are supported, no images or sounds", param="data")
    try:
        tokens = np.frombuffer(b"".join(each.encoded_text.tokens for each in message.model_input), dtype="<i4")
        inputs = {name: _values(name, tensor) for name, tensor in message.loss_fn_inputs.items()}
    except ValueError as error:
        raise RequestError(f"a datum can't be read: {error}", param="data") from error
    if "target_tokens" not in inputs:
        raise RequestError("loss_fn_inputs lacks target_tokens", param="data")
    targets = inputs.pop("target_tokens")
    if targets.dtype.kind != "i":
        raise RequestError("target_tokens must be token ids, as int64", param="data")
    return Datum(tokens, targets, {name: each.astype(np.float32) for name, each in inputs.items()})


def _values(name: str, tensor: Any) -> np.ndarray:
    if len(tensor.shape) > 1 or tensor.HasField("sparse_csr"):
        raise ValueError(f"{name} has shape {list(tensor.shape)}; one value a token is supported")
    if tensor.dtype not in DTYPES:
        raise ValueError(f"{name} has the type {tensor.dtype}; float32 and int64 are supported")
    return np.frombuffer(tensor.dense, dtype=DTYPES[tensor.dtype])


def loss_output(loss: float, log_probs: Sequence[np.ndarray]) -> bytes:
    """A ``ForwardBackwardOutput``: the summed loss, and the log-probabilities ``[n]`` of each datum."""
    ends = np.cumsum([0, *(4 * len(each) for each in log_probs)], dtype=np.int64)
    data = np.concatenate(log_probs).astype("<f4").tobytes()
    tensor = CLASSES["BatchedTensor"](data=data, offsets=ends.tobytes(), dtype=FLOAT32)
    record = CLASSES["ArrayRecord"](num_datums=len(log_probs))
    record.fields["logprobs"].CopyFrom(tensor)
    output = CLASSES["ForwardBackwardOutput"](loss_fn_output_type="ArrayRecord", loss_fn_outputs=[record])
    output.metrics["loss:sum"] = loss
    return output.SerializeToString()


#: (id, log-probability, (id, log-probability) of the likeliest there) of a token.
Sampled = tuple[int, float, Sequence[tuple[int, float]]]


def sequence_message(tokens: Sequence[Sampled], ended: str, top: int) -> Any:
    """A ``SampledSequence``; ``top``: how many of the likeliest tokens are listed for each."""
    message = CLASSES["SampledSequence"](
        stop_reason=STOP_REASONS[ended], tokens=np.array([each[0] for each in tokens], dtype="<i4").tobytes()
    )
    message.logprobs = np.array([each[1] for each in tokens], dtype="<f4").tobytes()
    if top and tokens:
        message.topk_sampled_logprobs.CopyFrom(_likeliest([each[2] for each in tokens], top))
    return message


def sample_response(sequences: Sequence[Any], prompt: Sequence[Sampled | None] | None, top: int) -> bytes:
    """A ``SampleResponse``; ``prompt``: what is known of each of the prompt's tokens, where it was wanted."""
    response = CLASSES["SampleResponse"](sequences=sequences)
    if prompt is not None:
        values = [each[1] if each else np.nan for each in prompt]
        response.prompt_logprobs = np.array(values, dtype="<f4").tobytes()
        if top:
            response.topk_prompt_logprobs.CopyFrom(_likeliest([each[2] if each else () for each in prompt], top))
    return response.SerializeToString()


def _likeliest(rows: Sequence[Sequence[tuple[int, float]]], top: int) -> Any:
    """``TopkLogprobs``: ``top`` tokens a row; ``NO_TOKEN`` fills a row that has fewer."""
    filled = [[*row[:top], *[NO_TOKEN] * (top - len(row[:top]))] for row in rows]
    ids = np.array([[each[0] for each in row] for row in filled], dtype="<i4")
    values = np.array([[each[1] for each in row] for row in filled], dtype="<f4")
    return CLASSES["TopkLogprobs"](token_ids=ids.tobytes(), logprobs=values.tobytes(), k=top, length=len(rows))
