"""Answers batches, one after the other, while nobody chats; while somebody does, one line at a time."""

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

LOOK_S = 0.5
WRITE_S = 0.2  # answers of so long are written down together

#: Answers the body of one request: (HTTP status, body).
AnswerOne = Callable[[Mapping[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]


class BatchWorker:
    """Works in the server's event loop.

    Args:
        answer: answers one request.
        rows: lines that are answered at once.
        is_busy: whether somebody chats.
    """

    def __init__(self, database: Database, answer: AnswerOne, rows: int, is_busy: Callable[[], bool]):
        self.database, self.answer, self.rows, self.is_busy = database, answer, rows, is_busy
        self._news: list[tuple[int, bool, dict[str, Any]]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; batches that an earlier server left go on."""
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stop; what is answered is written down."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            try:
                row = await run_in_threadpool(batches.next_open, self.database)
                if row:
                    await self._do(row)
                    continue
            except Exception:  # a database that is away, or a file that is gone: it is tried again
                traceback.print_exc()
            await asyncio.sleep(LOOK_S)

    async def _do(self, row: Mapping[str, Any]) -> None:
        """Bring one batch a step further."""
        if row["status"] == "validating":
            await run_in_threadpool(self._validate, row)
        elif row["status"] == "in_progress":
            expired = await self._answer_all(row)
            await run_in_threadpool(self._close_lines, row, expired)
        else:
            status = {"finalizing": "completed", "cancelling": "cancelled"}[row["status"]]
            if row["times"].get("expired_at"):
                status = "expired"
            await run_in_threadpool(batches.finish, self.database, row, status)

    def _lines(self, row: Mapping[str, Any]) -> tuple[list[BatchLine], list[dict[str, Any]]]:
        with tempfile.TemporaryDirectory(prefix="parley-batch-") as folder:
            return read(files.save(self.database, row["input_file_id"], Path(folder, "batch.jsonl")))

    def _validate(self, row: Mapping[str, Any]) -> None:
        lines, faults = self._lines(row)
        with self.database.write() as connection:
            if faults:
                batches.move(connection, row, "failed", errors=faults)
            else:
                batches.move(connection, row, "in_progress", total=len(lines))

    async def _answer_all(self, row: Mapping[str, Any]) -> bool:
        """Answer the lines that are left; ends early where the batch is cancelled or, which is returned, expired."""
        lines, _ = await run_in_threadpool(self._lines, row)
        done = await run_in_threadpool(batches.answered, self.database, row["id"])
        left = [line for line in reversed(lines) if line.line not in done]
        running: set[asyncio.Task[None]] = set()
        try:
            while left or running:
                while left and len(running) < (1 if self.is_busy() else self.rows):
                    running.add(asyncio.create_task(self._answer_line(left.pop())))
                _, running = await asyncio.wait(running, timeout=WRITE_S, return_when=asyncio.FIRST_COMPLETED)
                if len(self._news) >= self.rows or not running:
                    await self._write(row["id"])
                    status = await run_in_threadpool(self._status, row["id"])
                    if status != "in_progress":
                        return False
                    if now_s() >= row["times"]["expires_at"]:
                        return True
            return False
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._write(row["id"])

    async def _answer_line(self, line: BatchLine) -> None:
        status, body = await self.answer(line.body)
        response = {"status_code": status, "request_id": fresh_id("req_"), "body": body}
        record = {"id": fresh_id("batch_req_"), "custom_id": line.custom_id, "response": response, "error": None}
        self._news.append((line.line, status == 200, record))

    async def _write(self, batch_id: str) -> None:
        news, self._news = self._news, []
        if news:
            await run_in_threadpool(batches.keep_answers, self.database, batch_id, news)

    def _status(self, batch_id: str) -> str:
        with self.database.read() as connection:
            return batches.row_of(connection, batch_id)["status"]

    def _close_lines(self, row: Mapping[str, Any], expired: bool) -> None:
        """All is answered, or time is up: lines without an answer are told to have expired."""
        if expired:
            done = batches.answered(self.database, row["id"])
            error = {"code": "batch_expired", "message": "This request could not be executed before the completion "
                     "window expired."}  # fmt: skip
            late = [
                (line.line, False, {"id": fresh_id("batch_req_"), "custom_id": line.custom_id, "response": None,
                                    "error": error})
                for line in self._lines(row)[0]
                if line.line not in done
            ]  # fmt: skip
            batches.keep_answers(self.database, row["id"], late)
        with self.database.write() as connection:
            if expired:
                row = {**row, "times": {**row["times"], "expired_at": now_s()}}
            batches.move(connection, row, "finalizing")
