"""``tools`` through the real SDK: who may call what, constrained arguments, results, streams, refusals."""

import json

import jsonschema
import openai
import pytest
from pydantic import BaseModel

from tests.inference import tiny
from tests.serve.served import refused

MODEL = "gpt-3.5-turbo"
MESSAGES = [{"role": "user", "content": "Where is the boat?"}]
PLACE = {
    "type": "object",
    "properties": {"place": {"enum": ["sea", "harbour"]}, "day": {"type": "integer", "minimum": 1, "maximum": 31}},
    "required": ["place", "day"],
    "additionalProperties": False,
}


class Boat(BaseModel):
    """A boat."""

    is_near: bool


def tool(name, parameters=None):
    function = {"name": name, "description": f"Does {name}."}
    return {"type": "function", "function": function | ({"parameters": parameters} if parameters else {})}


LONELY = {"role": "tool", "tool_call_id": "x", "content": "?"}
TOOLS = [tool("find_boat", PLACE), tool("ring_bell")]


@pytest.fixture(scope="module")
def client(serve, tiny_base, tmp_path_factory):
    """The SDK at a server whose base has no chat template, and room for a list of tools."""
    folder = tiny.rope("llama", tiny_base, tmp_path_factory.mktemp("roomy") / "base", positions=2048)
    return serve(base_model=folder).client()


@pytest.fixture
def complete(client):
    def complete(**settings):
        return client.chat.completions.create(
            **{"model": MODEL, "messages": MESSAGES, "tools": TOOLS, "seed": 1, "max_tokens": 120, **settings}
        )

    return complete


def require_valid(call):
    schema = {"find_boat": PLACE, "ring_bell": {"type": "object", "maxProperties": 0}}[call.function.name]
    jsonschema.validate(json.loads(call.function.arguments), schema)
    assert call.type == "function" and call.id


def test_required_calls_some_tool_with_arguments_that_fit_in_every_choice(complete):
    choices = complete(tool_choice="required", parallel_tool_calls=False, n=8, temperature=2).choices
    for choice in choices:
        (call,) = choice.message.tool_calls
        require_valid(call)
        assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    assert len({choice.message.tool_calls[0].function.name for choice in choices}) == 2


def test_a_named_tool_is_the_one_called(complete):
    choice = complete(tool_choice={"type": "function", "function": {"name": "find_boat"}}).choices[0]
    assert [call.function.name for call in choice.message.tool_calls] == ["find_boat"]
    assert choice.finish_reason == "stop"


def test_auto_answers_in_text_or_calls_and_none_never_calls(complete):
    auto = complete(temperature=0, max_tokens=20).choices[0].message
    assert auto.content and not auto.tool_calls
    none = complete(temperature=0, max_tokens=20, tool_choice="none").choices[0].message
    without = complete(temperature=0, max_tokens=20, tools=openai.NOT_GIVEN).choices[0].message
    assert none.content == without.content


def test_a_streamed_call_comes_as_name_and_pieces_of_arguments_and_is_the_same(complete):
    settings = {"tool_choice": "required", "parallel_tool_calls": False, "temperature": 0, "logprobs": True}
    whole = complete(**settings).choices[0]
    chunks = [chunk.choices[0] for chunk in complete(stream=True, **settings)]
    calls = [call for chunk in chunks for call in chunk.delta.tool_calls or ()]
    assert calls[0].function.name == whole.message.tool_calls[0].function.name and calls[0].id
    assert all(call.id is None and call.function.name is None and call.index == 0 for call in calls[1:])
    assert "".join(call.function.arguments for call in calls) == whole.message.tool_calls[0].function.arguments
    assert not any(chunk.delta.content for chunk in chunks) and chunks[-1].finish_reason == "tool_calls"
    streamed = [token.token for chunk in chunks if chunk.logprobs for token in chunk.logprobs.content]
    assert streamed == [token.token for token in whole.logprobs.content]


def test_several_calls_come_in_one_answer(complete):
    found = [choice.message.tool_calls for choice in complete(tool_choice="required", n=6, max_tokens=None).choices]
    for calls in found:
        for call in calls:
            require_valid(call)
        assert len({call.id for call in calls}) == len(calls)
    assert max(map(len, found)) > 1


def test_a_result_is_read_and_answered(complete):
    call = complete(tool_choice="required", parallel_tool_calls=False).choices[0].message
    history = [*MESSAGES, call, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "At sea."}]
    answers = [complete(messages=each, max_tokens=8, temperature=0).usage.prompt_tokens for each in (MESSAGES, history)]
    assert answers[1] > answers[0]
    assert complete(messages=history, tools=openai.NOT_GIVEN, max_tokens=8).choices[0].message.content is not None


def test_an_assistant_may_have_said_nothing(complete):
    history = [*MESSAGES, {"role": "assistant", "content": None}, *MESSAGES]
    assert complete(messages=history, max_tokens=4, tools=openai.NOT_GIVEN).choices


def test_the_sdk_parses_arguments(client):
    found = client.chat.completions.parse(
        model=MODEL, messages=MESSAGES, tools=[openai.pydantic_function_tool(Boat)], tool_choice="required", seed=2,
        parallel_tool_calls=False,
    )  # fmt: skip
    assert isinstance(found.choices[0].message.tool_calls[0].function.parsed_arguments, Boat)


def test_text_that_fits_a_schema_or_a_call(complete):
    schema = {
        "type": "object",
        "properties": {"a": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    for choice in complete(response_format=wanted, parallel_tool_calls=False, n=4).choices:
        if choice.message.tool_calls:
            require_valid(choice.message.tool_calls[0])
        else:
            jsonschema.validate(json.loads(choice.message.content), schema)


@pytest.mark.parametrize(
    ("settings", "param", "words"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "sink"}}}, "tool_choice", ("sink",)),
        ({"tools": [*TOOLS, tool("find_boat")]}, "tools", ("same name",)),
        ({"tools": [], "tool_choice": "required"}, "tool_choice", ()),
        ({"tools": [tool("odd", {"not": {}})]}, "tools.0.function.parameters", ("odd", '"not"')),
        ({"tools": [tool("a b")]}, "tools.0.function.name", ()),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", ()),
        ({"messages": [*MESSAGES, LONELY]}, "messages.1.tool_call_id", ("answers a call",)),
        ({"messages": [{"role": "user", "content": None}]}, "messages.0", ("user",)),
    ],
)  # fmt: skip
def test_what_is_wrong_about_tools_is_named(complete, settings, param, words):
    with refused(openai.BadRequestError, *words, param=param):
        complete(**settings)
