"""The lines of a batch's input, checked as a whole before the first is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve.store.training_file import lines_of

ENDPOINT = "/v1/chat/completions"
MOST_LINES = 50_000
MOST_FAULTS = 20


@dataclass(frozen=True)
class BatchLine:
    """One request of a batch; ``line`` counts from 1, blank lines too."""

    line: int
    custom_id: str
    body: Mapping[str, Any]


def read(path: Path) -> tuple[list[BatchLine], list[dict[str, Any]]]:
    """(the lines of the file, what is wrong with them as OpenAI writes it: code, line, message, param)."""
    found: list[BatchLine] = []
    faults: list[dict[str, Any]] = []
    first: dict[str, int] = {}
    for number, value in lines_of(path):
        fault = _fault(value) or _repeated(value, number, first)
        if fault:
            code, message, param = fault
            faults.append({"code": code, "line": number, "message": message, "param": param})
        elif len(found) >= MOST_LINES:
            faults.append({"code": "too_many_requests", "line": number,
                           "message": f"a batch has at most {MOST_LINES:,} requests", "param": None})  # fmt: skip
        else:
            found.append(BatchLine(number, value["custom_id"], value["body"]))
        if len(faults) >= MOST_FAULTS:
            break
    if not found and not faults:
        faults.append({"code": "empty_batch", "line": None, "message": "the file holds no requests", "param": None})
    return found, faults


def _fault(value: Any) -> tuple[str, str, str | None] | None:
    if not isinstance(value, dict):
        return "invalid_json_line", "this line is no JSON object", None
    for name, kind in (("custom_id", str), ("body", dict)):
        if not isinstance(value.get(name), kind) or not value[name]:
            wanted = "a text" if kind is str else "an object"
            return "missing_required_parameter", f"{name} is missing or is not {wanted}", name
    if value.get("method") != "POST":
        return "invalid_method", f"method must be POST, not {str(value.get('method'))[:40]!r}", "method"
    if value.get("url") != ENDPOINT:
        return "mismatched_endpoint", f"url must be {ENDPOINT}, the batch's own endpoint", "url"
    if value["body"].get("stream"):
        return "invalid_request", "a batch's answers can't be streamed", "body.stream"
    return None


def _repeated(value: Mapping[str, Any], number: int, first: dict[str, int]) -> tuple[str, str, str | None] | None:
    earlier = first.setdefault(value["custom_id"], number)
    if earlier == number:
        return None
    return "duplicate_custom_id", f"custom_id {value['custom_id'][:64]!r} is that of line {earlier} again", "custom_id"
