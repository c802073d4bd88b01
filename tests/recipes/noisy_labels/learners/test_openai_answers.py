"""A reply is an answer only if it is whole, and a probability only if it says one."""

import math

import pytest

from data.labelled import SENTIMENTS, LabelledRow
from data.prompts import REVIEW, messages
from openai_jobs.requests import ChatRequest, InvalidReply, RequestOptions, checked
from recipes.noisy_labels.learners.openai_answers import chat_requests, p_positive, prediction
from tests.fake_openai import INVALID_REPLIES, Fake

REQUEST = ChatRequest("r1", "ft:m", ({"role": "user", "content": "Good?"},), 8, 7)


def reply(text="positive", p=0.8):
    """A chat completion as the server makes it."""
    asked = {**RequestOptions().body(REQUEST), "messages": [{"role": "user", "content": "x"}]}
    return Fake(says=lambda model, said: (text, p)).completion(asked)


def tokens(**listed):
    """The first token's alternatives, by name."""
    top = [{"token": token, "logprob": math.log(p) if p > 0 else p} for token, p in listed.items()]
    return {"content": [{**top[0], "top_logprobs": top}]}


def test_a_request_has_the_messages_of_the_training_line():
    row = LabelledRow("A film.", 1, "r1", 0)
    [asked] = chat_requests([row], "ft:m", REVIEW, 8, 7)
    assert list(asked.messages) == messages(row, SENTIMENTS, REVIEW)[:-1]
    body = RequestOptions().body(asked)
    assert (body["temperature"], body["max_tokens"], body["seed"], body["top_logprobs"]) == (0, 8, 7, 20)
    plain = RequestOptions(0, "max_completion_tokens", False).body(asked)
    assert plain == {"model": "ft:m", "messages": list(asked.messages), "temperature": 0, "max_completion_tokens": 8}


def test_a_request_is_identified_by_all_that_decides_its_answer_and_nothing_else():
    same = ChatRequest("other row", "ft:m", REQUEST.messages, 8, 7)
    others = [
        ChatRequest("r1", "ft:n", REQUEST.messages, 8, 7),
        ChatRequest("r1", "ft:m", ({"role": "user", "content": "Bad?"},), 8, 7),
        ChatRequest("r1", "ft:m", REQUEST.messages, 9, 7),
        ChatRequest("r1", "ft:m", REQUEST.messages, 8, 8),
    ]
    assert same.digest == REQUEST.digest
    assert len({each.digest for each in [REQUEST, *others]}) == 5


def test_a_reply_becomes_a_label_its_probability_and_its_text():
    found = prediction(checked(reply()), SENTIMENTS)
    assert (found.outcome, found.raw) == (1, "positive")
    assert found.p_positive == pytest.approx(0.8)
    assert prediction(reply("It is positive."), SENTIMENTS).outcome == "invalid"


def test_a_refusal_and_an_empty_answer_are_answers_that_are_no_label():
    refused = reply()
    refused["choices"][0]["message"] = {"role": "assistant", "content": None, "refusal": "I can't."}
    found = prediction(checked(refused), SENTIMENTS)
    assert (found.outcome, found.raw) == ("invalid", "I can't.")
    assert prediction(checked(reply("")), SENTIMENTS).outcome == "invalid"


@pytest.mark.parametrize("raw", INVALID_REPLIES)
def test_no_invalid_reply_passes_for_an_answer(raw):
    import json

    try:
        found = json.loads(raw)
    except ValueError:
        return
    with pytest.raises(InvalidReply):
        checked(found)


@pytest.mark.parametrize(
    "broken",
    [
        {"finish_reason": None},
        {"message": {"role": "assistant", "content": ["positive"]}},
        {"message": {"role": "user", "content": "positive"}},
        {"message": None},
        {"message": {"role": "assistant", "content": None}, "finish_reason": "tool_calls"},
    ],
)
def test_an_incomplete_completion_is_invalid(broken):
    found = reply()
    found["choices"][0] |= broken
    with pytest.raises(InvalidReply):
        checked(found)


@pytest.mark.parametrize(
    ("listed", "p"),
    [
        ({"positive": 0.6, "negative": 0.4}, 0.6),
        ({"positive": 0.3, " Positive": 0.3, "negative": 0.2, "other": 0.2}, 0.75),
        ({"pos": 0.9, "neg": 0.1}, 0.9),  # the tokens that the labels begin with
        ({"positive": 0.9, "other": 0.06}, 0.9 / 0.94),  # at most as likely as what is left over
        ({"positive": 0.9, "x": 0.05, "y": 0.02}, 0.9 / 0.92),  # or as the least likely one listed
        ({"positive": 0.5, "negative": -9999.0}, 1.0),  # a sentinel is no probability, so all it can have is .5
    ],
)
def test_the_probability_is_renormalised_over_both_labels(listed, p):
    found = p_positive(tokens(**listed), SENTIMENTS)
    expected = 0.5 if -9999.0 in listed.values() else p
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"content": None}, {"content": []}, tokens(maybe=0.9), {"content": [{"token": "positive"}]}, "x",
     tokens(positive=-9999.0), {"content": [{"token": "positive", "logprob": "?", "top_logprobs": []}]}],
)  # fmt: skip
def test_a_probability_that_is_not_given_is_none(logprobs):
    assert p_positive(logprobs, SENTIMENTS) is None


def test_a_token_that_begins_both_labels_says_nothing():
    labels = ("good", "great")
    assert p_positive(tokens(g=0.9), labels) is None
    assert p_positive(tokens(g=0.2, gr=0.6, go=0.2), labels) == pytest.approx(0.75)
