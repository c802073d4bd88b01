"""``/v1/chat/completions`` through the real SDK."""

import math
import time

import openai
import pytest

from inference.loading import load_tokenizer
from tests.inference import tiny
from tests.serve.served import refused

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Where is the boat?"}]
SAMPLED = {"temperature": 1.0, "max_tokens": 8}


@pytest.fixture(scope="module")
def tokenizer(weights):
    return load_tokenizer(weights["base"])


@pytest.fixture
def complete(client):
    """``complete(setting=value, ...)``: a completion of eight tokens, greedy, but for what the settings change."""

    def complete(**settings):
        return client.chat.completions.create(
            **{"model": MODEL, "messages": MESSAGES, "temperature": 0, "max_tokens": 8, **settings}
        )

    return complete


def texts(completion):
    return [choice.message.content for choice in completion.choices]


def text_of(stream):
    return "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)


def test_an_answer_is_that_of_the_base_that_the_name_stands_for(complete, weights, tokenizer):
    ids = tokenizer("<|user|> Where is the boat?<|assistant|>")["input_ids"]
    tokens = tiny.greedy(weights["base"], None, ids, 8, [tokenizer.eos_token_id])
    found = complete()
    assert found.choices[0].message.content == tokenizer.decode(tokens, skip_special_tokens=True).lstrip()
    assert found.choices[0].finish_reason == "length"
    assert (found.model, found.object) == (MODEL, "chat.completion")
    usage = found.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (len(ids), 8, len(ids) + 8)
    assert texts(complete(model="base")) == texts(found), "the name of the folder that base_model names"
    with refused(openai.NotFoundError, param="model"):
        complete(model=str(weights["base"]))
    assert texts(complete(model="gpt-3.5-turbo-0125", max_tokens=None, max_completion_tokens=8)) == texts(found)


def test_a_stream_has_the_same_text_as_the_whole(complete):
    chunks = list(complete(stream=True, stream_options={"include_usage": True}))
    whole = complete()
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["length"]
    assert not chunks[-1].choices and chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_options_has_no_usage(complete):
    assert all(chunk.choices and chunk.usage is None for chunk in complete(stream=True))


def test_several_choices_are_drawn_apart_and_a_seed_draws_them_again(complete):
    first = complete(n=4, seed=5, **SAMPLED)
    assert [choice.index for choice in first.choices] == [0, 1, 2, 3]
    assert len(set(texts(first))) == 4
    assert texts(complete(n=4, seed=5, **SAMPLED)) == texts(first)
    assert texts(complete(n=2, seed=5, **SAMPLED)) == texts(first)[:2]
    assert texts(complete(n=4, seed=6, **SAMPLED)) != texts(first)
    assert first.usage.completion_tokens == 32


def test_several_choices_are_streamed_side_by_side(complete):
    whole, streamed = texts(complete(n=3, seed=5, **SAMPLED)), [""] * 3
    for chunk in complete(n=3, seed=5, stream=True, **SAMPLED):
        for choice in chunk.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == whole


def test_an_answer_ends_before_a_stop_string(complete):
    drawn = {"temperature": 1.0, "seed": 3, "max_tokens": 40}
    whole = complete(**drawn).choices[0].message.content
    stop = next(whole[at : at + 3] for at in range(len(whole) // 3, len(whole) - 3) if whole[at : at + 3].isascii())
    assert whole.index(stop) > 0
    found = complete(stop=[stop, "not generated"], **drawn)
    assert found.choices[0].message.content == whole[: whole.index(stop)]
    assert found.choices[0].finish_reason == "stop"
    assert text_of(complete(stop=stop, stream=True, **drawn)) == whole[: whole.index(stop)]


def test_logprobs_are_those_of_each_token_with_its_bytes(complete):
    found = complete(logprobs=True, top_logprobs=5)
    tokens = found.choices[0].logprobs.content
    assert len(tokens) == 8
    raw = bytes(byte for token in tokens for byte in token.bytes)
    assert raw.decode("utf-8", "replace") == found.choices[0].message.content
    for token in tokens:
        logprobs = [each.logprob for each in token.top_logprobs]
        assert len(logprobs) == 5 and logprobs == sorted(logprobs, reverse=True)
        assert token.logprob == logprobs[0]  # greedy
        assert 0 < sum(math.exp(logprob) for logprob in logprobs) <= 1 + 1e-5
    streamed = [token for chunk in complete(logprobs=True, top_logprobs=5, stream=True) for choice in chunk.choices
                if choice.logprobs for token in choice.logprobs.content]  # fmt: skip
    assert [token.token for token in streamed] == [token.token for token in tokens]
    assert [token.logprob for token in streamed] == pytest.approx([token.logprob for token in tokens], abs=1e-4)


def test_without_logprobs_there_are_none(complete):
    assert complete().choices[0].logprobs is None
    assert complete(logprobs=True).choices[0].logprobs.content[0].top_logprobs == []


def test_a_bias_forbids_a_token_and_another_forces_one(complete, tokenizer):
    first = complete(logprobs=True).choices[0].logprobs.content[0].token
    forced = tokenizer(" sea")["input_ids"][0]
    word = tokenizer.decode([forced]).strip()
    assert complete(logit_bias={str(forced): 100}, max_tokens=2).choices[0].message.content.split() == [word, word]
    banned = next(i for i in range(len(tokenizer)) if tokenizer.decode([i]).lstrip() == first)
    assert complete(logit_bias={str(banned): -100}, logprobs=True).choices[0].logprobs.content[0].token != first


def test_limits_as_other_clients_write_them_are_taken(complete):
    assert texts(complete(max_tokens=8.0, modalities=["text"])) == texts(complete())
    assert len(complete(max_tokens=-1, max_completion_tokens=3, logprobs=True).choices[0].logprobs.content) == 3


def test_roles_and_parts_are_read(complete):
    parts = [
        {"role": "user", "content": [{"type": "text", "text": "Where is "}, {"type": "text", "text": "the boat?"}]}
    ]
    assert texts(complete(messages=parts)) == texts(complete())
    system, developer = ([{"role": role, "content": "Be short."}, *MESSAGES] for role in ("system", "developer"))
    assert texts(complete(messages=system)) == texts(complete(messages=developer))


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, None),
        ({"stop": [""]}, "stop"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5.5}, "max_tokens"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"n": 129}, "n"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_field_named(complete, settings, param):
    with refused(openai.BadRequestError, **({"param": param} if param else {})):
        complete(**settings)


def test_a_conversation_that_is_too_long_is_refused(complete):
    with refused(openai.BadRequestError, "tokens", code="context_length_exceeded", param="messages"):
        complete(messages=[{"role": "user", "content": "the boat " * 3000}])


def test_a_model_that_there_is_not_is_refused(complete):
    for model in ("nobody", "ft:gpt-4o-mini:parley::00000000", "nobody/1", "gpt-5", "../../etc/passwd"):
        with refused(openai.NotFoundError, model, code="model_not_found", param="model"):
            complete(model=model)


def test_whoever_leaves_a_stream_stops_it(complete, served):
    stream = complete(stream=True, max_tokens=900)
    next(iter(stream))
    stream.close()
    until = time.monotonic() + 30
    while served.metric('parley_engine{what="running"}') and time.monotonic() < until:
        time.sleep(0.02)
    assert served.metric('parley_engine{what="running"}') == 0


def test_what_is_no_json_is_refused(served):
    reply = served.http().post("/v1/chat/completions", content=b"{", headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert "JSON" in reply.json()["error"]["message"]
