"""The same questions through the Batch API: one file up, one batch, one file down, however often it is begun."""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.formats.openai import write_lines
from openai_jobs.endpoint import ApiError, scrubbed, spoken
from openai_jobs.event_metrics import in_words
from openai_jobs.exactly_once import once
from openai_jobs.jobs import MARK, JobClient, upload
from openai_jobs.requests import ChatRequest, InvalidReply, RequestOptions, checked
from openai_jobs.response_log import ResponseLog

ENDPOINT = "/v1/chat/completions"
WINDOW, WINDOW_S = "24h", 86400.0
MOST_REQUESTS = 50_000
SHORTEST_S, LONGEST_S, GROWTH = 1.0, 60.0, 1.4
ENDED = ("completed", "failed", "expired", "cancelled")


def ask(
    desk: JobClient,
    journal: ResponseLog,
    questions: Sequence[ChatRequest],
    manner: RequestOptions,
    run_id: str,
    folder: Path,
) -> dict[str, str]:
    """Put every answer into the journal; returns the errors of the others by their question's digest.

    Raises:
        Refused: the server has no batches (``is_missing``), or refuses this one.
        UserError: a batch failed as a whole.
    """
    unasked = {q.digest: q for q in questions if q.digest not in journal.replies}
    errors: dict[str, str] = {}
    whole = list(unasked.values())
    for start in range(0, len(whole), MOST_REQUESTS):
        chosen = whole[start : start + MOST_REQUESTS]
        batch = _follow(desk, _submit(desk, chosen, manner, run_id, folder).id)
        if batch.status == "failed" or (batch.status != "completed" and not batch.output_file_id):
            raise UserError(f"the batch {batch.id} {batch.status}: {_reason(batch)}")
        errors |= _read(desk, journal, batch, {q.digest: q for q in chosen})
    journal.sync()
    return errors


def _submit(
    desk: JobClient, questions: Sequence[ChatRequest], manner: RequestOptions, run_id: str, folder: Path
) -> Any:
    lines = [_line(question, manner) for question in questions]
    name = f"parley-{run_id}-{sha256(''.join(lines).encode()).hexdigest()[:12]}.jsonl"
    file_id = upload(desk, write_lines(lines, folder / name).path, name, "batch")

    def look() -> Any:
        with spoken(desk.endpoint, "list batches"):
            return next((each for each in desk.client.batches.list() if each.input_file_id == file_id), None)

    def make() -> Any:
        with spoken(desk.endpoint, "start a batch"):
            return desk.client.with_options(max_retries=0).batches.create(
                input_file_id=file_id, endpoint=ENDPOINT, completion_window=WINDOW, metadata={MARK: run_id}
            )

    batch = once(f"batch {name}", look, make, desk.ledger, desk.pause)
    desk.tell(f"Batch   {batch.id}: {len(questions):,} requests, answered within {WINDOW}")
    return batch


def _line(question: ChatRequest, manner: RequestOptions) -> str:
    whole = {"custom_id": question.digest, "method": "POST", "url": ENDPOINT, "body": manner.body(question)}
    return json.dumps(whole, ensure_ascii=False) + "\n"


def _follow(desk: JobClient, batch_id: str) -> Any:
    wait_s, waited_s, shown = SHORTEST_S, 0.0, ""
    while True:
        try:
            with spoken(desk.endpoint, f"tell of {batch_id}"):
                batch = desk.client.batches.retrieve(batch_id)
        except ApiError as error:
            if error.certain and error.status != 429:
                raise
            batch = None
        if batch:
            counts = batch.request_counts
            line = f"{batch_id} {batch.status.replace('_', ' ')}" + (
                f", {counts.completed + counts.failed:,} of {counts.total:,}" if counts and counts.total else ""
            )
            if line != shown:
                desk.tell(f"Batch   {line}")
                shown = line
            if batch.status in ENDED:
                return batch
        if waited_s > 2 * WINDOW_S:
            raise UserError(f"{batch_id} has not ended in {in_words(waited_s)}; go on later")
        desk.pause(wait_s)
        waited_s, wait_s = waited_s + wait_s, min(LONGEST_S, wait_s * GROWTH)


def _read(desk: JobClient, journal: ResponseLog, batch: Any, asked: dict[str, ChatRequest]) -> dict[str, str]:
    """Take answers, in whatever order they stand; what is in neither file has no answer."""
    errors = dict.fromkeys(asked, f"it is in neither file of the batch, which {batch.status}")
    for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
        with spoken(desk.endpoint, f"give the file {file_id}"):
            text = desk.client.files.content(file_id).read().decode("utf-8", errors="replace")
        for digest, reply, error in _outcomes(text.split("\n")):
            if digest not in errors:  # answered already, or not asked here
                continue
            if reply is None:
                errors[digest] = error
            else:
                journal.keep(digest, asked[digest].row_id, reply)
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
                said = (
                    f"{error.get('code') or response.get('status_code')}: {error.get('message') or 'no reason given'}"
                )
                yield digest, None, scrubbed(said)
            else:
                yield digest, checked(response["body"]), ""
        except (InvalidReply, KeyError, AttributeError) as fault:
            yield digest, None, f"an answer that can't be read ({type(fault).__name__})"


def _reason(batch: Any) -> str:
    found = [
        f"line {e.line}: {e.message}" if e.line else str(e.message) for e in (batch.errors and batch.errors.data) or ()
    ]
    return scrubbed("; ".join(found[:3]) or "the server gives no reason")
