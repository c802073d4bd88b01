"""``/v1/responses`` through the real SDK, in strict mode."""

from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from tests.serve.served import error_of, refused

MODEL = "gpt-4o-mini"
QUESTION = "Where is the boat?"


class Place(BaseModel):
    """What an answer has to hold."""

    place: Literal["the sea", "the harbour"]
    near: bool


@pytest.fixture
def respond(client):
    """``respond(setting=value, ...)``: a response of up to eight tokens, greedy."""

    def respond(**settings):
        return client.responses.create(
            **{"model": MODEL, "input": QUESTION, "temperature": 0, "max_output_tokens": 8, **settings}
        )

    return respond


@pytest.fixture
def chat(client):
    """``chat(message, ...)``: what a chat completion of the same settings answers."""

    def chat(*messages):
        asked = [{"role": role, "content": text} for role, text in messages]
        found = client.chat.completions.create(model=MODEL, messages=asked, temperature=0, max_tokens=8)
        return found.choices[0].message.content

    return chat


def test_a_response_is_the_answer_of_a_chat(respond, chat):
    found = respond(metadata={"run": "1"}, include=["message.output_text.logprobs"], top_logprobs=2)
    assert found.output_text == chat(("user", QUESTION))
    assert (found.object, found.status, found.incomplete_details.reason) == (
        "response", "incomplete", "max_output_tokens",
    )  # fmt: skip
    assert (found.usage.output_tokens, found.metadata) == (8, {"run": "1"})
    logprobs = found.output[0].content[0].logprobs
    assert "".join(token.token for token in logprobs) and all(len(token.top_logprobs) == 2 for token in logprobs)
    parts = [{"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}]
    assert respond(input=parts).output_text == found.output_text


def test_instructions_are_the_system_message_and_are_not_carried_over(respond, chat):
    first = respond(instructions="Be short.")
    assert first.output_text == chat(("system", "Be short."), ("user", QUESTION))
    second = respond(input="And now?", previous_response_id=first.id)
    asked = (("user", QUESTION), ("assistant", first.output_text), ("user", "And now?"))
    assert second.output_text == chat(*asked)
    third = respond(input="Go.", previous_response_id=second.id, instructions="Be kind.")
    told = (("system", "Be kind."), *asked, ("assistant", second.output_text), ("user", "Go."))
    assert third.output_text == chat(*told)


def test_a_stored_response_is_retrieved_until_it_is_deleted(respond, client):
    found = respond()
    assert client.responses.retrieve(found.id) == found
    again = respond(input="And now?", previous_response_id=found.id)
    texts = [item.content[0].text for item in client.responses.input_items.list(again.id, order="asc", limit=2)]
    assert texts == [QUESTION, found.output_text, "And now?"]
    client.responses.delete(found.id)
    with refused(openai.NotFoundError, found.id, code="not_found"):
        client.responses.retrieve(found.id)
    with refused(openai.NotFoundError, found.id, param="previous_response_id"):
        respond(previous_response_id=found.id)
    assert respond(previous_response_id=again.id).status


def test_with_store_false_nothing_is_kept(respond, client):
    found = respond(store=False)
    with refused(openai.NotFoundError, found.id):
        client.responses.retrieve(found.id)


def test_a_stream_has_every_event_in_order_and_is_stored_too(respond, client):
    events = list(respond(stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "incomplete"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1].response
    assert text == last.output_text == respond().output_text
    assert client.responses.retrieve(last.id) == last


def test_an_answer_is_parsed_as_its_schema_whole_and_streamed(client):
    asked = {"model": MODEL, "input": QUESTION, "text_format": Place, "max_output_tokens": 200, "temperature": 0}
    parsed = client.responses.parse(**asked).output_parsed
    assert isinstance(parsed, Place)
    with client.responses.stream(**asked) as stream:
        stream.until_done()
        assert stream.get_final_response().output_parsed == parsed


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"truncation": "auto"}, "truncation"),
        ({"background": True}, "background"),
        ({"include": ["reasoning.encrypted_content"]}, "include"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "odd"}}}}, "text.format"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, None),
        ({"input": "the boat " * 3000}, "input"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_field_named(respond, settings, param):
    with refused(openai.BadRequestError, **({"param": param} if param else {})):
        respond(**settings)


def test_only_responses_in_the_background_can_be_cancelled(respond, served):
    reply = served.http().post(f"/v1/responses/{respond().id}/cancel")
    assert reply.status_code == 400 and "background" in error_of(reply)["message"]
