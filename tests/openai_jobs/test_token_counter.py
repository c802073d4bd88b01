"""Tokens are counted by a model's own vocabulary where it is here, and called an estimate where it is not."""

import pytest

from data.chat_template import SPECIAL_TOKENS
from data.labelled import SENTIMENTS, LabelledRow
from data.prompts import BARE, conversation
from openai_jobs import token_counter as module
from openai_jobs.token_counter import base_token_counter, estimated_tokens, longest, token_counter


def test_without_a_vocabulary_the_count_is_called_an_estimate():
    counter = token_counter("gpt-4o-mini-2024-07-18")
    assert "by 4 characters a token" in counter.how and counter.count is estimated_tokens


def test_a_vocabulary_on_this_machine_counts_exactly(tmp_path, monkeypatch):
    import tiktoken

    letters = {bytes([i]): i for i in range(256)}
    encoding = tiktoken.Encoding("letters", pat_str=r".", mergeable_ranks=letters, special_tokens={"<|x|>": 256})
    monkeypatch.setattr(tiktoken, "encoding_for_model", lambda model: encoding)
    module._encoding.cache_clear()
    try:
        counter = token_counter("m")
    finally:
        module._encoding.cache_clear()
    row = conversation(LabelledRow("<|x|>", 1, "r", 0), SENTIMENTS, BARE)
    assert counter.how == "by tiktoken's letters" and counter.count_text("positive") == 8
    assert counter.count(row) == sum(map(len, sum(row.turns, ()))) + len(row.system or "") + 3 * (
        2 + bool(row.system)
    ) + 3  # fmt: skip


def test_a_base_counts_by_its_own_tokens_and_names_its_special_ones(tiny_base):
    counter = base_token_counter("bundled")
    assert set(SPECIAL_TOKENS) < set(counter.special_tokens)
    assert counter.count_text("positive") == 1
    assert base_token_counter(str(tiny_base)).count_text("positive") > 1


@pytest.mark.parametrize(
    ("model", "most"),
    [("gpt-3.5-turbo-0613", 4096), ("gpt-3.5-turbo-0125", 16385), ("gpt-4o-mini-2024-07-18", 65536), ("llama", 8192),
     ("ft:gpt-4.1-mini:org::x", 65536)],
)  # fmt: skip
def test_the_longest_example_is_that_of_the_model(model, most):
    assert longest(model) == most
