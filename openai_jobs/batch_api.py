"""Chat requests through the Batch API: one file up, one batch, one file down, however often it is begun."""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from data.formats.openai import write_lines
from openai_jobs.endpoint import ApiError, redact, translate_errors
from openai_jobs.exactly_once import once
from openai_jobs.jobs import RUN_KEY, JobClient, upload
from openai_jobs.monitor import format_duration
from openai_jobs.requests import ChatRequest, InvalidReply, RequestOptions, checked
from openai_jobs.response_log import ResponseLog

if TYPE_CHECKING:
    from openai.types import Batch

ENDPOINT = "/v1/chat/completions"
WINDOW, WINDOW_S = "24h", 86400.0
MAX_REQUESTS = 50_000
SHORTEST_S, LONGEST_S, GROWTH = 1.0, 60.0, 1.4
ENDED = ("completed", "failed", "expired", "cancelled")


def complete(
    client: JobClient,
    log: ResponseLog,
    requests: Sequence[ChatRequest],
    options: RequestOptions,
    run_id: str,
    folder: Path,
) -> dict[str, str]:
    """Put the reply to every request into the log; returns the errors of the others by their digest.

    Raises:
        ApiError: the server has no batches (``is_missing``), or refuses this one.
        UserError: a batch failed as a whole.
    """
    unique = {request.digest: request for request in requests if request.digest not in log.replies}
    unanswered = list(unique.values())
    errors: dict[str, str] = {}
    for start in range(0, len(unanswered), MAX_REQUESTS):
        chosen = unanswered[start : start + MAX_REQUESTS]
        batch = _follow(client, _submit(client, chosen, options, run_id, folder).id)
        if batch.status == "failed" or (batch.status != "completed" and not batch.output_file_id):
            raise UserError(f"the batch {batch.id} {batch.status}: {_reason(batch)}")
        errors |= _read_replies(client, log, batch, {request.digest: request for request in chosen})
    log.sync()
    return errors


def _submit(
    client: JobClient, requests: Sequence[ChatRequest], options: RequestOptions, run_id: str, folder: Path
) -> "Batch":
    lines = [_line(request, options) for request in requests]
    name = f"parley-{run_id}-{sha256(''.join(lines).encode()).hexdigest()[:12]}.jsonl"
    file_id = upload(client, write_lines(lines, folder / name).path, name, "batch")

    def find() -> "Batch | None":
        with translate_errors(client.endpoint, "list batches"):
            return next((each for each in client.sdk.batches.list() if each.input_file_id == file_id), None)

    def create() -> "Batch":
        with translate_errors(client.endpoint, "start a batch"):
            return client.sdk.with_options(max_retries=0).batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window=WINDOW, metadata={RUN_KEY: run_id}
            )

    batch = once(f"batch {name}", find, create, client.log, client.pause)
    client.output(f"Batch   {batch.id}: {len(requests):,} requests, answered within {WINDOW}")
    return batch


def _line(request: ChatRequest, options: RequestOptions) -> str:
    line = {"custom_id": request.digest, "method": "POST", "url": ENDPOINT, "body": options.body(request)}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _follow(client: JobClient, batch_id: str) -> "Batch":
    """Request the batch's status until it has ended; returns it as it is then."""
    wait_s, waited_s, shown = SHORTEST_S, 0.0, ""
    while True:
        batch = _retrieve(client, batch_id)
        if batch:
            line = _progress_line(batch)
            if line != shown:
                client.output(f"Batch   {line}")
                shown = line
            if batch.status in ENDED:
                return batch
        if waited_s > 2 * WINDOW_S:
            raise UserError(f"{batch_id} has not ended in {format_duration(waited_s)}; go on later")
        client.pause(wait_s)
        waited_s, wait_s = waited_s + wait_s, min(LONGEST_S, wait_s * GROWTH)


def _retrieve(client: JobClient, batch_id: str) -> "Batch | None":
    """The batch as it is now; None where the server can't be reached for the moment."""
    try:
        with translate_errors(client.endpoint, f"retrieve {batch_id}"):
            return client.sdk.batches.retrieve(batch_id)
    except ApiError as error:
        if not error.is_temporary:
            raise
        return None


def _progress_line(batch: "Batch") -> str:
    counts, line = batch.request_counts, f"{batch.id} {batch.status.replace('_', ' ')}"
    if counts and counts.total:
        line += f", {counts.completed + counts.failed:,} of {counts.total:,}"
    return line


def _read_replies(
    client: JobClient, log: ResponseLog, batch: "Batch", requests: dict[str, ChatRequest]
) -> dict[str, str]:
    """Log the replies, in whatever order they stand; a request in neither file of the batch is an error."""
    errors = dict.fromkeys(requests, f"it is in neither file of the batch, which {batch.status}")
    for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
        with translate_errors(client.endpoint, f"download the file {file_id}"):
            text = client.sdk.files.content(file_id).read().decode("utf-8", errors="replace")
        for digest, reply, error in _outcomes(text.split("\n")):
            if digest not in errors:  # answered already, or not requested here
                continue
            if reply is None:
                errors[digest] = error
            else:
                log.add(digest, requests[digest].row_id, reply)
                del errors[digest]
    return errors


def _outcomes(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any] | None, str]]:
    """(custom id, checked reply or None, error) of every line that can be read."""
    for line in lines:
        try:
            found = json.loads(line)
            digest, response = str(found["custom_id"]), found.get("response") or {}
            error = found.get("error") or (response.get("body") or {}).get("error") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        try:
            if error or response.get("status_code") != 200:
                code = error.get("code") or response.get("status_code")
                yield digest, None, redact(f"{code}: {error.get('message') or 'no reason given'}")
            else:
                yield digest, checked(response["body"]), ""
        except (InvalidReply, KeyError, AttributeError) as unreadable:
            yield digest, None, f"an answer that can't be read ({type(unreadable).__name__})"


def _reason(batch: "Batch") -> str:
    found = [
        f"line {e.line}: {e.message}" if e.line else str(e.message) for e in (batch.errors and batch.errors.data) or ()
    ]
    return redact("; ".join(found[:3]) or "the server gives no reason")
