"""``response_format`` through the real SDK: ``json_object`` and ``json_schema``, whole, streamed and beside others."""

import json
from typing import Literal

import jsonschema
import openai
import pytest
from pydantic import BaseModel, Field

from tests.serve.served import refused

MODEL = "gpt-3.5-turbo"
MESSAGES = [{"role": "user", "content": "Where is the boat?"}]
SCHEMA = {
    "type": "object",
    "properties": {"place": {"enum": ["sea", "harbour"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["place", "count"],
    "additionalProperties": False,
}


class Boat(BaseModel):
    """Where a boat is."""

    place: Literal["sea", "harbour"]
    crew: list[Literal["Ann", "Bob"]] = Field(max_length=2)
    is_late: bool | None


def of_schema(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True, **more}}


@pytest.fixture
def complete(client):
    def complete(**settings):
        return client.chat.completions.create(
            **{"model": MODEL, "messages": MESSAGES, "response_format": of_schema(SCHEMA), "seed": 1, **settings}
        )

    return complete


def test_every_choice_fits_the_schema_and_ends_by_itself(complete):
    found = complete(n=6).choices
    for choice in found:
        jsonschema.validate(json.loads(choice.message.content), SCHEMA)
        assert choice.finish_reason == "stop"
    assert len({choice.message.content for choice in found}) > 1


def test_a_stream_says_the_same(complete):
    whole = complete(temperature=0)
    chunks = list(complete(temperature=0, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == (
        whole.choices[0].message.content
    )
    assert chunks[-1].usage == whole.usage


def test_the_sdk_parses_answers_into_its_own_types(client):
    found = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Boat, seed=3)
    assert isinstance(found.choices[0].message.parsed, Boat)
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, response_format=Boat, seed=3) as stream:
        *_, last = stream
    assert last.type == "content.done" and last.parsed == found.choices[0].message.parsed


def test_log_probabilities_are_those_of_the_model_and_not_of_the_grammar(complete, client):
    constrained = complete(temperature=0, logprobs=True, top_logprobs=5).choices[0]
    assert "".join(token.token for token in constrained.logprobs.content) == constrained.message.content
    free = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, temperature=0, logprobs=True, top_logprobs=5, max_tokens=1
    )
    first = constrained.logprobs.content[0]
    assert [top.token for top in first.top_logprobs] == [
        top.token for top in free.choices[0].logprobs.content[0].top_logprobs
    ]
    assert first.logprob < free.choices[0].logprobs.content[0].logprob


def test_any_object_is_one_and_other_chats_are_as_they_are_alone(served):
    """Constrained and free answers of one batch; each free one says what it says alone."""
    import asyncio

    async def ask(client, **settings):
        settings = {"model": MODEL, "messages": MESSAGES, "temperature": 0, **settings}
        return (await client.chat.completions.create(**settings)).choices[0]

    async def together():
        client = openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key=served.client().api_key)
        alone = await ask(client, max_tokens=30)
        kinds = ({"max_tokens": 30}, {"response_format": of_schema(SCHEMA)})
        return alone, await asyncio.gather(*(ask(client, **kinds[i % 2]) for i in range(6)))

    alone, found = asyncio.run(together())
    assert {choice.message.content for choice in found[::2]} == {alone.message.content}
    for choice in found[1::2]:
        jsonschema.validate(json.loads(choice.message.content), SCHEMA)


def test_json_object_is_an_object_of_any_kind(complete):
    found = complete(response_format={"type": "json_object"}, max_tokens=20, temperature=0).choices[0]
    assert found.message.content.startswith("{")


def test_json_object_takes_a_schema_beside_it_as_other_servers_do(complete):
    found = complete(response_format={"type": "json_object", "schema": SCHEMA}).choices[0]
    jsonschema.validate(json.loads(found.message.content), SCHEMA)


@pytest.mark.parametrize(
    ("wanted", "param", "words"),
    [
        ({"type": "json_schema"}, "response_format.json_schema", ()),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema.name", ()),
        (of_schema([]), "response_format.json_schema.schema", ("object",)),
        (of_schema({"not": {}}), "response_format", ('"not"',)),
        (of_schema({"type": "array", "uniqueItems": True}), "response_format", ("uniqueItems",)),
        (of_schema({"$ref": "#"}), "response_format", ("no text fits it",)),
        (of_schema({"enum": ["x" * 50] * 9000}), "response_format", ("characters",)),
    ],
)
def test_a_schema_that_can_not_be_enforced_is_refused_in_one_line(complete, wanted, param, words):
    for stream in (False, True):
        with refused(openai.BadRequestError, *words, param=param):
            complete(response_format=wanted, stream=stream)
