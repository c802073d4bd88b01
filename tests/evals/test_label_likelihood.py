"""Label probabilities are exact sums over all tokens of each label, however rows are batched and packed."""

import pytest
import torch

from data.chat_template import prompt_ids
from data.conversation import Row
from data.labelled import SENTIMENTS, LabelledRow
from data.prompts import BARE, REVIEW, conversation
from evals.generation import Decoding, answer
from evals.label_likelihood import (
    generate_labels,
    generate_labels_both,
    label_tokens,
    log_probs,
    need_the_end,
    p_second,
    score_labels,
    text_log_probs,
)
from train import trainable
from train.config import FinetuneConfig

ROWS = [LabelledRow(f"The crew {'sang ' * (i % 7)}well.", i % 2, f"r{i}", i) for i in range(20)]


@pytest.fixture(scope="module")
def model(gpt2, tokenizer):
    return gpt2(len(tokenizer)).eval()


def by_hand(model, tokenizer, row, answer, with_end=False):
    """Log-probability of the answer's tokens, one sequence, no packing."""
    before = prompt_ids(tokenizer, (), row.prompt, row.system)
    whole = tokenizer(" " + answer, add_special_tokens=False)["input_ids"]
    whole += [tokenizer.eos_token_id] * with_end
    ids = torch.tensor([[*before, *whole]])
    with torch.no_grad():
        logits = model(ids).logits[0].log_softmax(-1)
    return sum(float(logits[len(before) + i - 1, token]) for i, token in enumerate(whole))


@pytest.mark.parametrize("with_end", [False, True])
def test_log_probabilities_equal_those_of_each_row_alone(with_end, model, tokenizer):
    asked = [conversation(row, SENTIMENTS, REVIEW) for row in ROWS]
    found = log_probs(model, tokenizer, asked, [SENTIMENTS] * len(ROWS), with_end)
    lengths = {len(tokenizer(" " + label)["input_ids"]) for label in SENTIMENTS}
    assert max(lengths) > 1, "labels of several tokens are what is proven here"
    for row, pair in zip(asked, found, strict=True):
        wanted = [by_hand(model, tokenizer, row, label, with_end) for label in SENTIMENTS]
        assert pair == pytest.approx(wanted, abs=1e-4)


def test_answers_that_go_on_a_text_are_scored_without_a_chat_template(model, tokenizer):
    prompt, answers = "Question: Who goes there?\nAnswer:", ["Me.", "Nobody at all."]
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    for answer_, found in zip(answers, text_log_probs(model, tokenizer, [prompt], [answers])[0], strict=True):
        ids = torch.tensor([before + tokenizer(f" {answer_}", add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            logits = model(ids).logits[0].log_softmax(-1)
        wanted = sum(float(logits[i - 1, ids[0, i]]) for i in range(len(before), ids.shape[1]))
        assert found == pytest.approx(wanted, abs=1e-4)


def test_each_row_may_have_answers_of_its_own(model, tokenizer):
    asked = [Row((("Why?", ""),)), Row((("Who goes there?", ""),))]
    answers = [["Because.", "No idea at all."], ["Me."]]
    found = log_probs(model, tokenizer, asked, answers)
    assert [len(each) for each in found] == [2, 1]
    assert found[0][1] == pytest.approx(by_hand(model, tokenizer, asked[0], "No idea at all."), abs=1e-4)
    assert found[1][0] == pytest.approx(by_hand(model, tokenizer, asked[1], "Me."), abs=1e-4)


def test_probabilities_are_renormalised_over_the_labels():
    assert p_second([(-1.0, -1.0), (-50.0, -51.0986123), (-2000.0, 0.0)]) == pytest.approx([0.5, 0.25, 1.0])


def test_the_end_counts_only_where_one_label_begins_with_the_other(tokenizer):
    assert not need_the_end(tokenizer, SENTIMENTS)
    assert need_the_end(tokenizer, ("good", "good enough"))


def test_an_answer_that_is_no_label_is_invalid_whatever_its_probability(model, tokenizer):
    said = generate_labels(model, tokenizer, ROWS[:4], SENTIMENTS, BARE, Decoding(3))
    assert {each.outcome for each in said} == {"invalid"}
    leaning = score_labels(model, tokenizer, ROWS[:4], SENTIMENTS, BARE)
    assert [each.p_positive for each in said] == pytest.approx([each.p_positive for each in leaning], abs=1e-5)
    assert all(each.outcome == (each.p_positive > 0.5) for each in leaning)


def test_probabilities_beside_answers_are_those_of_scoring_alone(model, tokenizer):
    for labels in (SENTIMENTS, ("good", "good enough"), ("a b c d", "no")):
        beside = generate_labels(model, tokenizer, ROWS, labels, REVIEW, Decoding(5))
        alone = score_labels(model, tokenizer, ROWS, labels, REVIEW)
        assert [each.p_positive for each in beside] == pytest.approx([each.p_positive for each in alone], abs=1e-5)


def test_scoring_beside_the_answers_changes_no_answer(model, tokenizer):
    asked = [conversation(row, SENTIMENTS, REVIEW) for row in ROWS]
    plain = answer(model, tokenizer, asked, Decoding(9))
    scored = answer(model, tokenizer, asked, Decoding(9), label_tokens(tokenizer, ("negative", "positive and long")))
    assert [each.text for each in scored] == [each.text for each in plain]
    assert all(len(each.scores) == 2 for each in scored)


@pytest.mark.parametrize("make", ["gpt2", "llama"])
def test_base_and_tuned_model_labelled_in_one_batch_are_as_each_alone(make, request, tokenizer):
    base = request.getfixturevalue(make)(len(tokenizer), initializer_range=0.4).double()
    tuned = trainable.make_trainable(base, FinetuneConfig(rank=4, targets="all")).eval()
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.5)
    arguments = (tuned, tokenizer, ROWS, SENTIMENTS, REVIEW, Decoding(4))
    before, after = generate_labels_both(*arguments)
    with trainable.pristine(tuned):
        alone = generate_labels(*arguments)
    for found, wanted in ((before, alone), (after, generate_labels(*arguments))):
        assert [each.raw for each in found] == [each.raw for each in wanted]
        assert [each.p_positive for each in found] == pytest.approx([each.p_positive for each in wanted], abs=1e-9)
    assert [each.raw for each in before] != [each.raw for each in after]
