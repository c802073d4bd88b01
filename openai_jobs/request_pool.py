"""Many questions to an API at once: as many as slots and rate limits allow, each until it is answered or has failed.

An answer is written down as it arrives and never asked for again. A failure is tried again, later and later, and in the
end is an error of its row; nothing that is no answer is ever taken for one.
"""

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from data.errors import UserError
from openai_jobs.endpoint import ApiError, Endpoint, spoken
from openai_jobs.jobs import Tell, say
from openai_jobs.rate_limit import RateLimiter, retry_after_s
from openai_jobs.requests import ChatRequest, RequestOptions, checked
from openai_jobs.response_log import ResponseLog

PATH = "/chat/completions"
SYNC_S = 1.0
#: So many of these lie between two lines about how far it is.
SYNCS_A_LINE = 10
#: So many rows in a row that failed for good, and not one answer between them, are a server that is gone.
HOPELESS = 25
TOP_LOGPROBS = (20, 5, 0)


@dataclass(frozen=True)
class RetryPolicy:
    """How long one question is tried: ``tries`` failures, with waits that double, and ``limited_s`` of waiting."""

    tries: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0
    timeout_s: float = 60.0
    limited_s: float = 900.0

    def wait_s(self, failures: int) -> float:
        """Seconds before the next try after so many failures, with chance in them so that not all come back at once."""
        return min(self.longest_s, self.first_s * 2 ** (failures - 1)) * random.uniform(0.75, 1.0)


PATIENT = RetryPolicy()


@dataclass
class RequestPool:
    """One evaluation on its way: what is left to ask, what was answered (in the journal) and what failed for good."""

    endpoint: Endpoint
    journal: ResponseLog
    slots: int = 16
    patience: RetryPolicy = PATIENT
    tell: Tell = say
    manner: RequestOptions = RequestOptions()
    errors: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    _left: deque[ChatRequest] = field(default_factory=deque)
    _stop: UserError | None = None
    _failed_in_a_row: int = 0
    _looked: bool = False

    async def all(self, questions: Sequence[ChatRequest], client: Any) -> None:
        """Ask all that the journal has no answer to, through the async ``client``.

        Raises:
            UserError: the key, the model or the account is refused, or the server is gone; what was answered is kept.
        """
        self._client = client
        unasked = {q.digest: q for q in questions if q.digest not in self.journal.replies}
        self.errors = {digest: text for digest, text in self.errors.items() if digest not in unasked}
        self._left, self.pace = deque(unasked.values()), RateLimiter()
        self._stop, self._failed_in_a_row = None, 0
        syncing = asyncio.create_task(self._sync(len(unasked)))
        try:
            await asyncio.gather(*(self._work() for _ in range(min(self.slots, len(self._left)))))
        finally:
            syncing.cancel()
            self.journal.sync()
        if self._stop:
            raise self._stop

    async def _work(self) -> None:
        while self._left and not self._stop:
            await self._ask(self._left.popleft())

    async def _ask(self, question: ChatRequest) -> None:
        failures, limited_s = 0, 0.0
        while not self._stop:
            manner = self.manner
            outcome = await self._try(question)
            if outcome is None:
                self._failed_in_a_row = 0
                return
            refused, said_s = outcome
            if self._learned(manner, refused):
                continue
            if self._is_fatal(refused):
                self._stop = refused
                return
            limited = refused.status == 429 and limited_s < self.patience.limited_s
            failures += not limited
            if failures >= self.patience.tries or self._is_final(refused):
                return self._give_up(question, refused)
            wait_s = said_s if said_s is not None else self.patience.wait_s(max(failures, 1))
            if limited:
                limited_s += max(wait_s, 0.1)
                if said_s is not None:
                    self.pace.hold(said_s)
            await asyncio.sleep(wait_s)

    async def _try(self, question: ChatRequest) -> tuple[ApiError, float | None] | None:
        """None for an answer, which is in the journal then; else what went wrong, and the wait that was asked for."""
        await self.pace.enter()
        if self._stop:
            self.pace.leave({})
            return None
        headers: Mapping[str, str] = {}
        tokens = 0.0
        try:
            with spoken(self.endpoint, "answer"):
                self.requests += 1
                response = await self._post(self.manner.body(question))
                headers = response.headers
                reply = checked(json.loads(response.content))
            self.journal.keep(question.digest, question.row_id, reply)
            tokens = _tokens(reply)
            self._look_for_logprobs(question, reply)
            return None
        except ApiError as error:
            headers = error.headers
            return error, retry_after_s(headers)
        finally:
            self.pace.leave(headers, tokens)

    async def _post(self, body: Mapping[str, Any]) -> Any:
        import httpx2

        # the response as it came: what is in it is checked here, and read in half the time that the SDK's models take
        return await self._client.post(
            PATH, body=body, cast_to=httpx2.Response, options={"timeout": self.patience.timeout_s, "max_retries": 0}
        )

    def _learned(self, used: RequestOptions, refused: ApiError) -> bool:
        """Whether the request was refused for how it was put, and is put more plainly from now on."""
        plainer = self._plainer(used, refused)
        if plainer and self.manner == used:  # the first of those on their way to be refused
            self.manner = plainer
            if used.top_logprobs != plainer.top_logprobs:
                self.tell(f"Note    {self._few(used.top_logprobs, plainer.top_logprobs)}")
        return plainer is not None

    def _few(self, asked: int, left: int) -> str:
        if left:
            return f"{self.endpoint.name} gives no {asked} log-probabilities a token; asking for {left}"
        return f"{self.endpoint.name} gives no log-probabilities: no AUC, ECE or Brier"

    def _plainer(self, used: RequestOptions, refused: ApiError) -> RequestOptions | None:
        said = refused.reason.lower()
        if refused.status not in (400, 422):
            return None
        if "max_completion_tokens" in said and used.cap == "max_tokens":
            return replace(used, cap="max_completion_tokens")
        if "logprobs" in said and used.top_logprobs:
            return replace(used, top_logprobs=TOP_LOGPROBS[TOP_LOGPROBS.index(used.top_logprobs) + 1])
        if "seed" in said and used.seeded:
            return replace(used, seeded=False)
        return None

    def _look_for_logprobs(self, question: ChatRequest, reply: Mapping[str, Any]) -> None:
        if self._looked or not self.manner.top_logprobs:
            return
        self._looked = True
        if not (reply["choices"][0].get("logprobs") or {}).get("content"):
            self.tell(
                f"Note    {self.endpoint.name} gives no log-probabilities for {question.model}: no AUC, ECE or Brier"
            )

    def _is_fatal(self, refused: ApiError) -> bool:
        return refused.status in (401, 403) or refused.code == "insufficient_quota"

    def _is_final(self, refused: ApiError) -> bool:
        return refused.certain and refused.status not in (404, 409, 429)

    def _give_up(self, question: ChatRequest, refused: ApiError) -> None:
        self.errors[question.digest] = str(refused)
        self._failed_in_a_row += 1
        if refused.status == 404:
            self._stop = UserError(f"{self.endpoint.name} has no model {question.model}: {refused.reason}")
        elif self._failed_in_a_row >= HOPELESS:
            done = len(self.journal.replies)
            self._stop = UserError(f"{refused}, {HOPELESS} rows in a row; {done:,} answers are kept. Go on later")

    async def _sync(self, whole: int) -> None:
        for count in itertools.count(1):
            await asyncio.sleep(SYNC_S)
            await asyncio.to_thread(self.journal.sync)
            if count % SYNCS_A_LINE == 0:
                self.tell(f"Asked   {whole - len(self._left):,} of {whole:,} rows")


def ask(asking: RequestPool, questions: Sequence[ChatRequest]) -> None:
    """Ask all questions, from a thread of no event loop.

    Raises:
        UserError: as ``RequestPool.all``.
    """

    async def work() -> None:
        async with asking.endpoint.async_client() as client:
            await asking.all(questions, client)

    asyncio.run(work())


def _tokens(reply: Mapping[str, Any]) -> float:
    usage = reply.get("usage")
    found = usage.get("total_tokens") if isinstance(usage, dict) else None
    return float(found) if isinstance(found, (int, float)) else 0.0
