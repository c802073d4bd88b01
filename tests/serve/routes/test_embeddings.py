"""``/v1/embeddings`` through the real SDK, and what is said of resources that there are not."""

import openai
import pytest
import torch

from inference.loading import load_tokenizer
from tests.inference import tiny
from tests.serve.served import error_of, refused

TEXTS = ["Where is the boat?", "Go.", "Tell me of the sea, my old friend, and of the wind. " * 8]


def test_an_embedding_is_the_mean_of_the_last_hidden_states_of_length_one(client, weights):
    tokenizer, model = load_tokenizer(weights["base"]), tiny.plain(weights["base"])
    found = client.embeddings.create(model="text-embedding-3-small", input=TEXTS, encoding_format="float")
    assert [each.index for each in found.data] == [0, 1, 2]
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(map(len, ids))
    for each, tokens in zip(found.data, ids, strict=True):
        with torch.no_grad():
            hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states[-1][0].mean(0)
        assert each.embedding == pytest.approx((hidden / hidden.norm()).tolist(), abs=1e-5)
    by_ids = client.embeddings.create(model="bundled", input=ids[0], encoding_format="float").data[0].embedding
    assert len(by_ids) != len(found.data[0].embedding), "of another model"


def test_dimensions_cut_and_base64_is_the_same(served):
    client = served.client(strict=False)  # the SDK checks types before it decodes base64

    def embed(**settings):
        return client.embeddings.create(model="gpt-4o-mini", input=TEXTS[0], **settings).data[0].embedding

    whole, encoded = embed(encoding_format="float"), embed()  # the SDK asks for base64 and decodes it
    assert encoded == pytest.approx(whole, abs=1e-6) and len(whole) == 64
    cut = embed(dimensions=8)
    assert sum(value * value for value in cut) == pytest.approx(1, abs=1e-5)
    assert [value / cut[0] for value in cut] == pytest.approx([value / whole[0] for value in whole[:8]], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"dimensions": 65}, "dimensions"),
        ({"input": ""}, "input"),
        ({"input": [999999]}, "input"),
        ({"input": "the boat " * 3000}, "input"),
        ({"extra_body": {"task": "x"}}, "task"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_field_named(client, settings, param):
    with refused(openai.BadRequestError, param=param):
        client.embeddings.create(**{"model": "gpt-4o-mini", "input": "a", **settings})


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("moderations", "response_format"),
        ("evals", "-e evaluate"),
        ("assistants", "/v1/responses"),
        ("threads/thread_1/runs", "/v1/responses"),
        ("vector_stores", "/v1/embeddings"),
        ("organization/projects", "-P new_key=NAME -P project=NAME"),
    ],
)
def test_what_there_is_instead_of_an_absent_resource_is_said(served, path, word):
    reply = served.http().post(f"/v1/{path}", json={})
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (404, "unknown_url") and word in error["message"]
