"""Many chat requests at once: as many as slots and rate limits allow, each retried until it is answered or has failed.

A reply is logged as it arrives and its request never sent again. A request that fails is retried with growing waits
and ends as an error of its row; nothing but a complete reply counts as an answer.
"""

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from data.errors import UserError
from openai_jobs.endpoint import ApiError, Endpoint, translate_errors
from openai_jobs.jobs import Output, print_now
from openai_jobs.rate_limit import RateLimiter, retry_after_s
from openai_jobs.requests import ChatRequest, RequestOptions, checked
from openai_jobs.response_log import ResponseLog

PATH = "/chat/completions"
#: Seconds between two writes of the log to disk, and how many of them lie between two lines of progress.
SYNC_S, SYNCS_PER_LINE = 1.0, 10
#: Requests that fail for good one after the other, without a reply in between, until the server counts as gone.
MAX_FAILED_IN_A_ROW = 25
#: How many log-probabilities a token are requested: the next number where an endpoint refuses one.
TOP_LOGPROBS = (20, 5, 0)


@dataclass(frozen=True)
class RetryPolicy:
    """How long one request is retried.

    ``tries`` failures end it; the waits between them double from ``first_s`` to ``longest_s``. Each attempt may take
    ``timeout_s``. A rate limit (429) counts as a failure only after ``limited_s`` were spent waiting for it.
    """

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0
    timeout_s: float = 60.0
    limited_s: float = 900.0

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after so many failures, with jitter so that not all requests are retried at once."""
        return min(self.longest_s, self.first_s * 2 ** (failures - 1)) * random.uniform(0.75, 1.0)


DEFAULT_POLICY = RetryPolicy()


class _Attempts:
    """The attempts of one request, as tenacity's hooks: it calls ``count``, ``wait_s`` and ``are_used_up`` in turn."""

    def __init__(self, policy: RetryPolicy, limiter: RateLimiter) -> None:
        self.policy, self.limiter = policy, limiter
        self.failures, self.limited_s, self.is_limited = 0, 0.0, False

    def count(self, state: RetryCallState) -> None:
        self.is_limited = _error_of(state).status == 429 and self.limited_s < self.policy.limited_s
        self.failures += not self.is_limited

    def wait_s(self, state: RetryCallState) -> float:
        requested_s = retry_after_s(_error_of(state).headers)
        wait_s = self.policy.wait_s(max(self.failures, 1)) if requested_s is None else requested_s
        if self.is_limited:
            self.limited_s += max(wait_s, 0.1)
            if requested_s is not None:
                self.limiter.pause(requested_s)
        return wait_s

    def are_used_up(self, state: RetryCallState) -> bool:
        return self.failures >= self.policy.tries


def _error_of(state: RetryCallState) -> ApiError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, ApiError)
    return error


def _is_fatal(error: BaseException) -> bool:
    """Whether every other request would fail like this one."""
    return isinstance(error, ApiError) and (error.status in (401, 403) or error.code == "insufficient_quota")


def _may_succeed_later(error: BaseException) -> bool:
    if not isinstance(error, ApiError) or _is_fatal(error):
        return False
    return not error.is_rejection or error.status in (404, 409, 429)


@dataclass
class RequestPool:
    """The requests of one evaluation: replies go to the log, ``errors`` holds those that failed, by digest.

    ``options`` are reduced to what the endpoint supports; ``sent`` counts requests, retries included.
    """

    endpoint: Endpoint
    log: ResponseLog
    slots: int = 16
    policy: RetryPolicy = DEFAULT_POLICY
    output: Output = print_now
    options: RequestOptions = RequestOptions()
    errors: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    _waiting: deque[ChatRequest] = field(default_factory=deque)
    _stopped_by: UserError | None = None
    _failed_in_a_row: int = 0
    _saw_reply: bool = False

    def run(self, requests: Sequence[ChatRequest]) -> None:
        """Send all requests and wait for their replies, from a thread without an event loop.

        Raises:
            UserError: as ``run_async``.
        """

        async def run() -> None:
            async with self.endpoint.async_client() as sdk:
                await self.run_async(requests, sdk)

        asyncio.run(run())

    async def run_async(self, requests: Sequence[ChatRequest], sdk: Any) -> None:
        """Send all requests that the log has no reply to, through the SDK's async client.

        Raises:
            UserError: the key, the model or the account is refused, or the server is gone; replies so far are kept.
        """
        self._sdk = sdk
        unanswered = {request.digest: request for request in requests if request.digest not in self.log.replies}
        self.errors = {digest: text for digest, text in self.errors.items() if digest not in unanswered}
        self._waiting, self.limiter = deque(unanswered.values()), RateLimiter()
        self._stopped_by, self._failed_in_a_row = None, 0
        syncing = asyncio.create_task(self._sync(len(unanswered)))
        try:
            await asyncio.gather(*(self._work() for _ in range(min(self.slots, len(self._waiting)))))
        finally:
            syncing.cancel()
            self.log.sync()
        if self._stopped_by:
            raise self._stopped_by

    async def _work(self) -> None:
        while self._waiting and not self._stopped_by:
            await self._answer(self._waiting.popleft())

    async def _answer(self, request: ChatRequest) -> None:
        """Send a request until it is answered, has failed for good, or the pool is stopped."""
        attempts = _Attempts(self.policy, self.limiter)
        retrying = AsyncRetrying(
            retry=retry_if_exception(_may_succeed_later),
            after=attempts.count,
            wait=attempts.wait_s,
            stop=attempts.are_used_up,
            reraise=True,
        )
        try:
            await retrying(self._attempt, request)
        except ApiError as error:
            self._fail(request, error)
        else:
            self._failed_in_a_row = 0

    async def _attempt(self, request: ChatRequest) -> None:
        """Send a request once, and again at once where the endpoint only refuses one of its options."""
        while not self._stopped_by:
            used = self.options
            try:
                return await self._send(request)
            except ApiError as error:
                if not self._reduce_options(used, error):
                    raise

    async def _send(self, request: ChatRequest) -> None:
        await self.limiter.acquire()
        headers: Mapping[str, str] = {}
        tokens = 0.0
        try:
            if self._stopped_by:
                return
            with translate_errors(self.endpoint, "answer"):
                self.sent += 1
                response = await self._post(self.options.body(request))
                headers = response.headers
                reply = checked(json.loads(response.content))
            self.log.add(request.digest, request.row_id, reply)
            tokens = _total_tokens(reply)
            self._note_missing_logprobs(request, reply)
        except ApiError as error:
            headers = error.headers
            raise
        finally:
            self.limiter.release(headers, tokens)

    async def _post(self, body: Mapping[str, Any]) -> Any:
        import httpx2

        # The raw response: it is checked here, and parsed in half the time that the SDK's models take.
        return await self._sdk.post(
            PATH, body=body, cast_to=httpx2.Response, options={"timeout": self.policy.timeout_s, "max_retries": 0}
        )

    def _reduce_options(self, used: RequestOptions, error: ApiError) -> bool:
        """Whether the request was refused for one of its options, which is not sent from now on."""
        reduced = _reduced(used, error)
        if reduced and self.options == used:  # the first of the requests in flight to be refused
            self.options = reduced
            if used.top_logprobs != reduced.top_logprobs:
                self.output(f"Note    {self._logprobs_note(used.top_logprobs, reduced.top_logprobs)}")
        return reduced is not None

    def _logprobs_note(self, refused: int, requested: int) -> str:
        if requested:
            return f"{self.endpoint.name} returns no {refused} log-probabilities per token; requesting {requested}"
        return f"{self.endpoint.name} returns no log-probabilities: no AUC, ECE or Brier"

    def _note_missing_logprobs(self, request: ChatRequest, reply: Mapping[str, Any]) -> None:
        if self._saw_reply or not self.options.top_logprobs:
            return
        self._saw_reply = True
        if not (reply["choices"][0].get("logprobs") or {}).get("content"):
            self.output(
                f"Note    {self.endpoint.name} returns no log-probabilities for {request.model}: no AUC, ECE or Brier"
            )

    def _fail(self, request: ChatRequest, error: ApiError) -> None:
        """Record the error of a request, or stop the pool where all others would fail too."""
        if _is_fatal(error):
            self._stopped_by = error
            return
        self.errors[request.digest] = str(error)
        self._failed_in_a_row += 1
        if error.status == 404:
            self._stopped_by = UserError(f"{self.endpoint.name} has no model {request.model}: {error.reason}")
        elif self._failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            n = len(self.log.replies)
            self._stopped_by = UserError(
                f"{error}, {MAX_FAILED_IN_A_ROW} rows in a row; {n:,} answers are kept. Go on later"
            )

    async def _sync(self, total: int) -> None:
        for count in itertools.count(1):
            await asyncio.sleep(SYNC_S)
            await asyncio.to_thread(self.log.sync)
            if count % SYNCS_PER_LINE == 0:
                self.output(f"Sent    {total - len(self._waiting):,} of {total:,} requests")


def _reduced(used: RequestOptions, error: ApiError) -> RequestOptions | None:
    """The options without the one that the error names; None where it names none of them."""
    reason = error.reason.lower()
    if error.status not in (400, 422):
        return None
    if "max_completion_tokens" in reason and used.cap == "max_tokens":
        return replace(used, cap="max_completion_tokens")
    if "logprobs" in reason and used.top_logprobs:
        return replace(used, top_logprobs=TOP_LOGPROBS[TOP_LOGPROBS.index(used.top_logprobs) + 1])
    if "seed" in reason and used.seeded:
        return replace(used, seeded=False)
    return None


def _total_tokens(reply: Mapping[str, Any]) -> float:
    usage = reply.get("usage")
    found = usage.get("total_tokens") if isinstance(usage, dict) else None
    return float(found) if isinstance(found, (int, float)) else 0.0
