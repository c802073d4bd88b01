"""Samples of Tinker's API: the engine's requests for one, and its result as a protocol buffer."""

import random
from collections.abc import Sequence
from typing import Any

from serve.engine.types import AnswerStream, Request
from serve.http.answers import ChatEngine, begin_answers, collect_all
from serve.http.tinker_messages import Sampled, sample_response, sequence_message
from serve.http.tinker_schema import SampleRequest


async def sample(engine: ChatEngine, body: SampleRequest, reference: str, name: str) -> bytes:
    """Generate ``body.num_samples`` sequences; returns a ``SampleResponse``. ``name``: of the weights, in errors.

    Raises:
        RequestError: the model can't continue this prompt, or broke down.
    """
    answers = await begin_answers(engine, requests(body, reference), name)
    ended = [piece.ended for piece in await collect_all(answers, name)]
    top = body.topk_sample_logprobs
    sequences = [sequence_message(each.sampled, end, top) for each, end in zip(answers, ended, strict=True)]
    return sample_response(sequences, _prompt(body, answers[0]), body.topk_prompt_logprobs)


def requests(body: SampleRequest, reference: str) -> list[Request]:
    """The engine's requests, one a sequence; the first scores the prompt where that is wanted."""
    params, wants_prompt = body.sampling_params, bool(body.prompt_logprobs or body.topk_prompt_logprobs)
    seeds = random.Random(params.seed)  # without a seed of its own it is another one each time
    return [
        Request(
            reference,
            (),
            max_tokens=params.max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            top_k=max(0, params.top_k),
            seed=seeds.getrandbits(62),
            prompt=body.tokens,
            prompt_logprobs=body.topk_prompt_logprobs if wants_prompt and choice == 0 else None,
            top_logprobs=body.topk_sample_logprobs,
            keeps_tokens=True,
            **_ends(params.stop),
        )
        for choice in range(body.num_samples)
    ]


def _ends(stop: str | Sequence[str] | Sequence[int] | None) -> dict[str, Any]:
    """How a sequence ends: ``stop`` beside the model's own end tokens; an empty list is no end at all."""
    if stop is None:
        return {}
    if not stop:
        return {"ignore_eos": True}
    listed = [stop] if isinstance(stop, str) else list(stop)
    if isinstance(listed[0], int):
        return {"stop_token_ids": frozenset(listed)}
    return {"stop": tuple(map(str, listed))}


def _prompt(body: SampleRequest, answer: AnswerStream) -> list[Sampled | None] | None:
    """What is known of the prompt's tokens: None for the first, and for those before the last ones that are wanted."""
    if not (body.prompt_logprobs or body.topk_prompt_logprobs):
        return None
    first = max(1, len(answer.prompt) - (body.prompt_logprobs_last_n or len(answer.prompt)))
    return [
        None
        if at < first or each.logprob is None
        else (each.id, each.logprob, [(id, value) for id, _, value in each.top])
        for at, each in enumerate(answer.prompt)
    ]
