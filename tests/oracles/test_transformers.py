"""Perplexity is that of plain Transformers on the same tokens."""

import math

import pytest
import torch

from data import pirate
from data.chat_template import prompt_ids
from data.conversation import Row
from evals.generation import Decoding, score
from evals.label_likelihood import answer_tokens


def test_perplexity_is_that_of_transformers_own_loss_row_by_row(tiny_base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tiny_base).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    rows: list[Row] = pirate.named_rows("tiny")[:6]
    total, tokens = 0.0, 0
    for row in rows:
        prompt = list(prompt_ids(tokenizer, (), row.prompt, row.system))
        answer = answer_tokens(tokenizer, row.response, with_end=True)
        labels = torch.tensor([[-100] * len(prompt) + answer])
        with torch.no_grad():
            loss = model(torch.tensor([prompt + answer]), labels=labels).loss
        total, tokens = total + float(loss) * len(answer), tokens + len(answer)
    found = score(model, tokenizer, rows, rows, Decoding(4), 256)
    assert found.values["perplexity"] == pytest.approx(math.exp(total / tokens), rel=1e-4)
