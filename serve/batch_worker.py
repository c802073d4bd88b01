"""The batch worker: answers batches one after the other, several requests at once, and one at a time during chats."""

import asyncio
import contextlib
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from serve.ids import fresh_id
from serve.store import batches, files
from serve.store.batch_input import BatchLine, read
from serve.store.database import Database, now_s
from serve.store.projects import CALLER, Caller

POLL_S = 0.5
WRITE_S = 0.2  # responses of so long are written in one transaction
EXPIRED = {"code": "batch_expired", "message": "This request could not be executed before the completion window "
           "expired."}  # fmt: skip

#: Answers the body of one request: (HTTP status, body).
AnswerOne = Callable[[Mapping[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]


class BatchWorker:
    """A task in the server's event loop.

    Args:
        database: where the batches are.
        answer: answers one request.
        rows: requests that are answered at once.
        is_busy: whether a chat completion is in progress outside of batches.
    """

    def __init__(self, database: Database, answer: AnswerOne, rows: int, is_busy: Callable[[], bool]) -> None:
        self.database, self.answer, self.rows, self.is_busy = database, answer, rows, is_busy
        self._responses: list[tuple[int, bool, dict[str, Any]]] = []  # not written yet
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start; batches that an earlier server did not end are continued."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop; responses that are there are written."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                row = await run_in_threadpool(batches.next_open, self.database)
                if row:
                    await self._advance(row)
                    continue
            except Exception:  # the database does not answer, or a file is gone: it is tried again
                traceback.print_exc()
            await asyncio.sleep(POLL_S)

    async def _advance(self, row: Mapping[str, Any]) -> None:
        """Do what the batch's status calls for."""
        if row["status"] == "validating":
            await run_in_threadpool(self._validate, row)
        elif row["status"] == "in_progress":
            expired = await self._answer_all(row)
            await run_in_threadpool(self._finalize, row, expired)
        else:
            await run_in_threadpool(batches.finish, self.database, row)

    def _read(self, row: Mapping[str, Any]) -> tuple[list[BatchLine], list[dict[str, Any]]]:
        """The requests of the batch's file, and the errors in it."""
        with tempfile.TemporaryDirectory(prefix="parley-batch-") as folder:
            return read(files.save(self.database, row["input_file_id"], Path(folder, "batch.jsonl")))

    def _validate(self, row: Mapping[str, Any]) -> None:
        lines, errors = self._read(row)
        if errors:
            batches.fail(self.database, row["id"], errors)
        else:
            batches.begin(self.database, row["id"], len(lines))

    async def _answer_all(self, row: Mapping[str, Any]) -> bool:
        """Answer the requests without a response; ends early, and returns True, once the batch has expired.

        It ends early, too, where the batch is cancelled.
        """
        lines, _ = await run_in_threadpool(self._read, row)
        done = await run_in_threadpool(batches.answered_lines, self.database, row["id"])
        left = [line for line in reversed(lines) if line.line not in done]
        running: set[asyncio.Task[None]] = set()
        try:
            while left or running:
                while left and len(running) < (1 if self.is_busy() else self.rows):
                    running.add(asyncio.create_task(self._answer_line(left.pop(), row["project"])))
                _, running = await asyncio.wait(running, timeout=WRITE_S, return_when=asyncio.FIRST_COMPLETED)
                if len(self._responses) >= self.rows or not running:
                    await self._write(row["id"])
                    if await run_in_threadpool(batches.status_of, self.database, row["id"]) != "in_progress":
                        return False
                    if now_s() >= row["times"]["expires_at"]:
                        return True
            return False
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._write(row["id"])

    async def _answer_line(self, line: BatchLine, project: str) -> None:
        CALLER.set(Caller(project, "(batch)"))  # of this task alone
        status, body = await self.answer(line.body)
        response = {"status_code": status, "request_id": fresh_id("req_"), "body": body}
        self._responses.append((line.line, status == 200, _record(line, response=response)))

    async def _write(self, batch_id: str) -> None:
        responses, self._responses = self._responses, []
        if responses:
            await run_in_threadpool(batches.add_responses, self.database, batch_id, responses)

    def _finalize(self, row: Mapping[str, Any], expired: bool) -> None:
        """Stop answering; where the batch has expired, its requests without a response get an error."""
        if expired:
            done = batches.answered_lines(self.database, row["id"])
            late = [line for line in self._read(row)[0] if line.line not in done]
            responses = [(line.line, False, _record(line, error=EXPIRED)) for line in late]
            batches.add_responses(self.database, row["id"], responses)
        batches.finalize(self.database, row["id"], expired)


def _record(
    line: BatchLine, response: Mapping[str, Any] | None = None, error: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A line of the output or error file."""
    return {"id": fresh_id("batch_req_"), "custom_id": line.custom_id, "response": response, "error": error}
