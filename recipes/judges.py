"""The models that compare answers: a registered version on this machine, or one at an OpenAI-compatible API."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from data.chat_template import prompt_ids
from data.conversation import Row
from data.errors import UserError
from evals.label_likelihood import log_probs
from evals.pairwise import LETTERS, Judge, letter_of
from inference.locations import ModelLocation
from openai_jobs.endpoint import Endpoint, from_environment
from openai_jobs.request_pool import RequestPool
from openai_jobs.requests import ChatRequest, RequestOptions
from openai_jobs.response_log import ResponseLog
from recipes import version_models
from train.base_model import context_length

API = "openai:"
MAX_TOKENS = 16
#: Positions that are kept for the letter.
RESERVED_TOKENS = 8


def make(judge: str, folder: Path, seed: int) -> Judge:
    """The judge that the flag names.

    Raises:
        UserError: there is no such version, or its weights are not here.
        ConfigError: there is no key for the API.
    """
    if judge.startswith(API):
        endpoint = from_environment(f"judge={judge}")
        return partial(by_requests, endpoint, judge.removeprefix(API), folder, seed)
    location = version_models.locate(judge)
    if location.remote:
        raise UserError(f"judge={judge} is a model behind an API: write judge={API}{location.remote[0]}")
    return partial(by_likelihood, location)


def by_likelihood(location: ModelLocation, prompts: Sequence[str]) -> list[str]:
    """The likeliest of the letters as the answer to each prompt: small models seldom answer with one alone.

    A prompt that is too long for the model has an empty text.
    """
    model, tokenizer = version_models.load(location)
    room = context_length(model) - RESERVED_TOKENS
    letters = [""] * len(prompts)
    fitting = [i for i, prompt in enumerate(prompts) if len(prompt_ids(tokenizer, (), prompt)) <= room]
    rows = [Row(((prompts[i], "-"),)) for i in fitting]
    for i, found in zip(fitting, log_probs(model, tokenizer, rows, [LETTERS] * len(rows)), strict=True):
        letters[i] = LETTERS[max(range(len(LETTERS)), key=found.__getitem__)]
    return letters


def by_requests(endpoint: Endpoint, model: str, folder: Path, seed: int, prompts: Sequence[str]) -> list[str]:
    """The letter in the reply to each prompt. Replies are logged in ``folder``; a request that fails has none.

    Raises:
        UserError: the key or the model is refused, or no request is answered.
    """
    requests = [
        ChatRequest(str(i), model, ({"role": "user", "content": prompt},), MAX_TOKENS, seed)
        for i, prompt in enumerate(prompts)
    ]
    log = ResponseLog(folder / "judge.jsonl")
    try:
        pool = RequestPool(endpoint, log, options=RequestOptions(top_logprobs=0))
        pool.run(requests)
        if requests and not log.replies:
            raise UserError(f"judge={API}{model}: {next(iter(pool.errors.values()), 'no reply')}")
        return [letter_of(_text(log, request)) for request in requests]
    finally:
        log.close()


def _text(log: ResponseLog, request: ChatRequest) -> str:
    reply = log.replies.get(request.digest)
    return str(reply["choices"][0]["message"].get("content") or "") if reply else ""
