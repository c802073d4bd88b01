"""vLLM's fields beside OpenAI's, sent by the SDK's ``extra_body``, and vLLM's own routes."""

import json

import openai
import pytest

from inference.loading import load_tokenizer
from tests.inference import tiny
from tests.serve.served import error_of, refused

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Where is the boat?"}]


@pytest.fixture(scope="module")
def tokenizer(weights):
    return load_tokenizer(weights["base"])


@pytest.fixture
def answer(client):
    """``answer(setting=value, ...)``: the text of a completion with these fields in ``extra_body``, and the whole."""

    def answer(temperature=0.0, max_tokens=8, seed=None, **extra):
        found = client.chat.completions.create(
            model=MODEL, messages=MESSAGES, temperature=temperature, max_tokens=max_tokens, seed=seed, extra_body=extra
        )
        return found.choices[0].message.content, found

    return answer


def test_the_likeliest_token_alone_is_left_by_top_k_or_min_p(answer):
    greedy, _ = answer()
    assert answer(temperature=1.5)[0] != greedy
    assert answer(temperature=1.5, top_k=1)[0] == answer(temperature=1.5, min_p=1.0)[0] == greedy
    assert answer(temperature=1.5, seed=3, top_k=-1, min_p=0)[0] == answer(temperature=1.5, seed=3)[0]


def test_a_repetition_penalty_is_that_of_transformers(answer, weights, tokenizer):
    import torch

    ids = tokenizer("<|user|> Where is the boat?<|assistant|>")["input_ids"]
    said = tiny.plain(weights["base"]).generate(
        torch.tensor([ids]), max_new_tokens=12, do_sample=False, repetition_penalty=1.5, pad_token_id=0
    )
    text = tokenizer.decode(said[0, len(ids) :], skip_special_tokens=True).lstrip()
    assert answer(max_tokens=12, repetition_penalty=1.5)[0] == text != answer(max_tokens=12)[0]


def test_other_tokens_end_an_answer_and_the_end_token_need_not(answer, weights, tokenizer):
    greedy, whole = answer(prompt_logprobs=0)
    ids = [int(next(iter(each))) for each in whole.model_extra["prompt_logprobs"][1:]]
    assert ids == tokenizer("<|user|> Where is the boat?<|assistant|>")["input_ids"][1:]
    said = tiny.greedy(weights["base"], None, tokenizer("<|user|> Where is the boat?<|assistant|>")["input_ids"], 8)
    found = answer(stop_token_ids=[said[4]])[1].choices[0]
    assert found.finish_reason == "stop" and greedy.startswith(found.message.content)
    forced = {"logit_bias": {str(tokenizer.eos_token_id): 100}}
    assert answer(**forced)[1].usage.completion_tokens == 0
    assert answer(**forced, ignore_eos=True)[1].usage.completion_tokens == 8


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("guided_choice", ["the sea", "the harbour"], lambda text: text in ("the sea", "the harbour")),
        ("guided_regex", "[0-9]{3}", lambda text: len(text) == 3 and text.isdigit()),
        ("guided_json", {"type": "boolean"}, lambda text: json.loads(text) in (True, False)),
        ("structured_outputs", {"choice": ["yes", "no"]}, lambda text: text in ("yes", "no")),
    ],
)
def test_a_guided_answer_has_its_form(answer, field, value, fits):
    text, whole = answer(max_tokens=40, **{field: value})
    assert fits(text) and whole.choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"guided_choice": ["a"], "guided_regex": "a"}, "guided_choice"),
        ({"guided_json": "{"}, "guided_json"),
        ({"top_k": -2}, "top_k"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "messages"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_field_named(answer, extra, param):
    with refused(openai.BadRequestError, param=param):
        answer(**extra)


def test_texts_and_conversations_are_tokenized_and_written_back(served, tokenizer):
    http = served.http()
    found = http.post("/tokenize", json={"prompt": "Where is the boat?", "return_token_strs": True}).json()
    assert found["tokens"] == tokenizer("Where is the boat?")["input_ids"] and found["max_model_len"] == 256
    assert found["count"] == len(found["token_strs"]) == len(found["tokens"])
    assert http.post("/detokenize", json={"tokens": found["tokens"]}).json() == {"prompt": "Where is the boat?"}
    chat = http.post("/tokenize", json={"model": MODEL, "messages": MESSAGES}).json()
    assert chat["tokens"] == tokenizer("<|user|> Where is the boat?<|assistant|>")["input_ids"]
    assert http.get("/tokenizer_info").json()["eos_token"] == tokenizer.eos_token
    assert error_of(http.post("/tokenize", json={"model": "nobody", "prompt": "a"}))["code"] == "model_not_found"
    assert error_of(http.post("/detokenize", json={"tokens": [999999]}))["param"] == "tokens"
    assert served.http("").post("/tokenize", json={"prompt": "a"}).status_code == 401


def test_health_and_version_need_no_key(served):
    http = served.http("")
    assert (http.get("/health").status_code, http.get("/version").json()) == (200, {"version": "1"})
