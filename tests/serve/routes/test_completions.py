"""``/v1/completions`` through the real SDK, and as lm-eval's ``local-completions`` uses it."""

import openai
import pytest

from inference.loading import load_tokenizer
from tests.inference import tiny
from tests.serve.served import KEY, refused

PROMPT = "Where is the boat? It is"


@pytest.fixture(scope="module")
def tokenizer(weights):
    return load_tokenizer(weights["base"])


@pytest.fixture
def complete(served):
    """``complete(setting=value, ...)``: eight tokens, greedy; not strict, for a first token has no number."""
    client = served.client(strict=False)

    def complete(**settings):
        return client.completions.create(
            **{"model": "gpt-3.5-turbo", "prompt": PROMPT, "temperature": 0, "max_tokens": 8, **settings}
        )

    return complete


def log_probabilities(weights, ids):
    import torch

    with torch.no_grad():
        logits = tiny.plain(weights["base"])(torch.tensor([ids])).logits[0, :-1]
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def placed(choice):
    return list(zip(choice.logprobs.tokens, choice.logprobs.text_offset, strict=True))


def test_a_prompt_is_continued_as_it_is_whether_text_or_token_ids(complete, client, weights, tokenizer):
    ids = tokenizer(PROMPT)["input_ids"]
    tokens = tiny.greedy(weights["base"], None, ids, 8, [tokenizer.eos_token_id])
    found = complete()
    assert found.choices[0].text == tokenizer.decode(tokens)
    assert (found.object, found.choices[0].finish_reason) == ("text_completion", "length")
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (len(ids), 8)
    assert complete(prompt=ids).choices[0].text == found.choices[0].text
    strict = client.completions.create(model="gpt-3.5-turbo", prompt=PROMPT, temperature=0, max_tokens=8, logprobs=2)
    assert strict.choices[0].text == found.choices[0].text


def test_an_echo_has_the_log_probability_of_every_token_of_the_prompt(complete, weights, tokenizer):
    ids = tokenizer(PROMPT)["input_ids"]
    found = complete(echo=True, logprobs=2, max_tokens=1).choices[0]
    scored = found.logprobs
    assert found.text.startswith(PROMPT) and "".join(scored.tokens) == found.text
    assert len(scored.tokens) == len(scored.token_logprobs) == len(scored.top_logprobs) == len(ids) + 1
    assert scored.token_logprobs[0] is None and scored.top_logprobs[0] is None
    assert scored.token_logprobs[1:-1] == pytest.approx(log_probabilities(weights, ids), abs=1e-4)
    assert all(found.text[at:].startswith(text) for text, at in placed(found))
    assert scored.token_logprobs[-1] == max(scored.top_logprobs[-1].values())  # greedy
    only = complete(prompt=ids, echo=True, logprobs=0, max_tokens=0).choices[0]
    assert (only.text, only.finish_reason) == (PROMPT, "length")
    assert only.logprobs.token_logprobs == pytest.approx(scored.token_logprobs[:-1], abs=1e-5)


def test_several_prompts_have_their_choices_in_order(complete):
    prompts = ["Where is", "Is it late?", "Who"]
    alone = [complete(prompt=each).choices[0].text for each in prompts]
    found = complete(prompt=prompts, n=2)
    assert [choice.index for choice in found.choices] == list(range(6))
    assert [choice.text for choice in found.choices] == [text for text in alone for _ in range(2)]
    assert found.usage.completion_tokens == 48


def test_a_stream_has_the_same_text_and_log_probabilities_as_the_whole(complete):
    settings = {"prompt": ["Where is", "Is it late?"], "echo": True, "logprobs": 1}
    whole = complete(**settings).choices
    texts, tokens = ["", ""], [[], []]
    for chunk in complete(**settings, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            tokens[choice.index] += placed(choice)
    assert texts == [choice.text for choice in whole]
    assert tokens == [placed(choice) for choice in whole]
    assert chunk.usage.completion_tokens == 16


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"suffix": " home."}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"prompt": [999999]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"prompt": "the boat " * 3000}, "prompt"),
        ({"extra_body": {"messages": [{"role": "user", "content": "Hi."}]}}, "messages"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_field_named(complete, settings, param):
    with refused(openai.BadRequestError, param=param):
        complete(**settings)


def test_lm_eval_scores_choices_over_http_as_its_own_backend_does(served, weights, monkeypatch):
    pytest.importorskip("lm_eval", reason="requirements-eval.txt is optional")
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    base = str(weights["base"])
    remote = LocalCompletionsAPI(
        base_url=f"{served.address}/v1/completions", model="bundled", tokenizer=base, pretrained=base,
        tokenizer_backend="huggingface", batch_size=2,
    )  # fmt: skip
    remote.model = "gpt-3.5-turbo"
    local = HFLM(pretrained=base, device="cpu", dtype="float32")
    pairs = [("Where is the boat?", " In the harbour."), ("Where is the boat?", " Aye."), ("Is it late?", " It is.")]
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    for ours, theirs in zip(remote.loglikelihood(asked), local.loglikelihood(asked), strict=True):
        assert ours[0] == pytest.approx(theirs[0], abs=1e-3) and ours[1] == theirs[1]
