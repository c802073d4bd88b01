"""The input file of a batch, checked as a whole before the first request is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.store.training_file import lines_of

ENDPOINT = "/v1/chat/completions"
MAX_LINES = 50_000
MAX_ERRORS = 20


@dataclass(frozen=True)
class BatchLine:
    """One request of a batch; ``line`` is its line number from 1, blank lines counted."""

    line: int
    custom_id: str
    body: Mapping[str, Any]


def read(path: Path) -> tuple[list[BatchLine], list[dict[str, Any]]]:
    """(the requests of the file, its errors as OpenAI lists them: code, line, message, param).

    Reading ends after ``MAX_ERRORS`` errors.
    """
    lines: list[BatchLine] = []
    errors: list[dict[str, Any]] = []
    line_of: dict[str, int] = {}
    for number, value in lines_of(path):
        problem = _problem(value) or _repeated(value, number, line_of)
        if problem:
            code, message, param = problem
            errors.append({"code": code, "line": number, "message": message, "param": param})
        elif len(lines) >= MAX_LINES:
            errors.append({"code": "too_many_requests", "line": number,
                           "message": f"a batch has at most {MAX_LINES:,} requests", "param": None})  # fmt: skip
        else:
            lines.append(BatchLine(number, value["custom_id"], value["body"]))
        if len(errors) >= MAX_ERRORS:
            break
    if not lines and not errors:
        errors.append({"code": "empty_batch", "line": None, "message": "the file holds no requests", "param": None})
    return lines, errors


def _problem(value: Any) -> tuple[str, str, str | None] | None:
    if not isinstance(value, dict):
        return "invalid_json_line", "this line is not a JSON object", None
    for name, kind in (("custom_id", str), ("body", dict)):
        if not isinstance(value.get(name), kind) or not value[name]:
            wanted = "a text" if kind is str else "an object"
            return "missing_required_parameter", f"{name} is missing or is not {wanted}", name
    if value.get("method") != "POST":
        return "invalid_method", f"method must be POST, not {str(value.get('method'))[:40]!r}", "method"
    if value.get("url") != ENDPOINT:
        return "mismatched_endpoint", f"url must be {ENDPOINT}, the batch's own endpoint", "url"
    if value["body"].get("stream"):
        return "invalid_request", "a batch can't be streamed", "body.stream"
    return None


def _repeated(value: Mapping[str, Any], number: int, line_of: dict[str, int]) -> tuple[str, str, str | None] | None:
    earlier = line_of.setdefault(value["custom_id"], number)
    if earlier == number:
        return None
    return (
        "duplicate_custom_id",
        f"custom_id {value['custom_id'][:64]!r} is used by line {earlier} already",
        "custom_id",
    )
