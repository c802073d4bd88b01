"""Batched answers are those of one prompt at a time, token for token, and the scores are computed on them."""

import dataclasses

import pytest
import torch

from data import pirate
from data.chat_template import prompt_ids
from data.conversation import Row
from data.errors import ConfigError
from evals import generation, metrics, text_metrics
from evals.generation import Decoding, answer, score
from evals.repetition import is_loop
from recipes.sft.config import TuneConfig
from train import trainable
from train.encoding import encode
from train.losses import mean_loss

ROWS = pirate.test_rows()[:13]
CAP = 12


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, gpt2, llama, tokenizer):
    """In double precision and with large weights: no two tokens are nearly as likely, so rounding changes no answer.

    The end of text is about as likely as any other token, so that some answers stop and some don't.
    """
    make = {"gpt2": gpt2, "llama": llama}[request.param]
    made = make(len(tokenizer), initializer_range=0.4).double().eval()
    with torch.no_grad():
        made.get_output_embeddings().weight[tokenizer.eos_token_id] *= 2.2
    return made


def alone(model, tokenizer, row, cap=CAP):
    """The tokens that plain greedy search finds for one row, its end included."""
    ids = prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system)
    out = list(ids)
    with torch.no_grad():
        for _ in range(cap):
            out.append(int(model(input_ids=torch.tensor([out])).logits[0, -1].argmax()))
            if out[-1] == tokenizer.eos_token_id:
                break
    return out[len(ids) :]


def text(tokenizer, ids):
    kept = [i for i in ids if i != tokenizer.eos_token_id]
    return tokenizer.decode(kept, skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_batched_answers_equal_greedy_search_of_one_row_at_a_time_in_row_order(model, tokenizer, monkeypatch, batch):
    monkeypatch.setattr(generation, "BATCH", batch)
    expected = [alone(model, tokenizer, row) for row in ROWS]
    found = answer(model, tokenizer, ROWS, Decoding(CAP))
    assert [a.text for a in found] == [text(tokenizer, ids) for ids in expected]
    assert [a.stopped for a in found] == [ids[-1] == tokenizer.eos_token_id for ids in expected]
    assert len({len(prompt_ids(tokenizer, (), row.prompt)) for row in ROWS}) > 3
    assert len({a.text for a in found}) > 3


def test_both_answers_that_stop_and_answers_that_run_into_the_cap_occur(model, tokenizer):
    """Else the tests here would hold for a model that never stops, too."""
    stopped = {a.stopped for a in answer(model, tokenizer, ROWS, Decoding(CAP))}
    assert stopped == {True, False}


def test_an_end_that_is_the_last_allowed_token_counts_as_stopped_and_one_later_does_not(model, tokenizer):
    row, size = next((r, len(ids)) for r in ROWS if (ids := alone(model, tokenizer, r))[-1] == tokenizer.eos_token_id)
    assert answer(model, tokenizer, [row], Decoding(size))[0].stopped
    if size > 1:
        assert not answer(model, tokenizer, [row], Decoding(size - 1))[0].stopped


def test_earlier_turns_and_the_system_text_are_read(model, tokenizer):
    row = ROWS[0]
    talk = Row((("Hi.", "Ahoy."), *row.turns), "Be brief.")
    assert answer(model, tokenizer, [talk], Decoding(CAP))[0].text == text(tokenizer, alone(model, tokenizer, talk))
    assert alone(model, tokenizer, talk) != alone(model, tokenizer, row)


def test_a_prompt_beyond_the_models_positions_loses_its_beginning_and_is_answered(model, tokenizer):
    long = Row((("Where be the gold? " * 60, "Arr."),))
    (found,) = answer(model, tokenizer, [long], Decoding(CAP))
    assert found.prompt_cut and isinstance(found.text, str)


@pytest.mark.parametrize("cap", [128, 500])
def test_a_cap_that_leaves_no_room_for_a_prompt_is_refused(model, tokenizer, cap):
    with pytest.raises(ConfigError, match=rf"^max_new_tokens={cap}: the model has 128 positions"):
        answer(model, tokenizer, ROWS[:1], Decoding(cap))


def scores(model, tokenizer, rows=ROWS, speaks=pirate.has_pirate_words):
    return score(model, tokenizer, rows, pirate.named_rows("tiny"), Decoding(CAP), 128, speaks)


def test_the_scores_are_the_metrics_of_the_answers(model, tokenizer):
    found = scores(model, tokenizer)
    texts, references, prompts = [a.text for a in found.answers], [r.response for r in ROWS], [r.prompt for r in ROWS]
    trained = pirate.named_rows("tiny")
    n = len(ROWS)
    loss = pytest.approx(mean_loss(model, encode(ROWS, tokenizer, "response", 128)))
    assert found.values == {
        "loss": loss,
        "prompts_cut": 0.0,
        "perplexity": pytest.approx(2.718281828459045**loss.expected),
        "train_loss": pytest.approx(mean_loss(model, encode(trained[:n], tokenizer, "response", 128))),
        "chrf": text_metrics.chrf(references, texts),
        "echo_rate": sum(map(text_metrics.is_echo, prompts, references, texts)) / n,
        "loop_rate": sum(map(is_loop, texts)) / n,
        "stop_rate": sum(a.stopped for a in found.answers) / n,
        "distinct_2": text_metrics.distinct_2(texts),
        "copy_rate": text_metrics.copy_rate(references, texts, [r.response for r in trained]),
        "length_ratio": text_metrics.length_ratio(references, texts),
        "misfit_rate": sum(map(text_metrics.is_misfit, references, texts)) / n,
        "content_rate": text_metrics.content_rate(prompts, references, texts),
        "lexicon_rate": sum(map(pirate.has_pirate_words, texts)) / n,
    }


def test_statistics_of_training_rows_are_apart_from_those_of_held_out_rows(model, tokenizer):
    found = scores(model, tokenizer)
    assert "train_loss" not in found.statistics and found.of_training_rows.keys() == {"train_loss"}
    assert found.of_all_rows.keys() == found.statistics.keys() | {"train_loss"}
    change = metrics.changes(found.of_all_rows, found.of_all_rows)["train_loss"]
    assert (change.before, change.low, change.high, change.n) == (found.values["train_loss"], 0, 0, len(ROWS))


def test_what_is_not_defined_is_left_out(model, tokenizer):
    rows = [Row((("Hello!", "Ahoy!"),)), Row((("Is it so?", "Aye."),))]
    assert not {"content_rate", "lexicon_rate"} & scores(model, tokenizer, rows, None).values.keys()


def test_the_loss_does_not_depend_on_how_rows_are_batched(model, tokenizer):
    rows = encode(ROWS, tokenizer, "response", 128)
    expected = mean_loss(model, rows, 1, 1)
    for batch_size, row_tokens in ((4, 1), (32, 512), (5, 100)):
        assert mean_loss(model, rows, batch_size, row_tokens) == pytest.approx(expected, rel=1e-6)


@pytest.fixture
def tuned(model, tokenizer, gpt2, llama):
    """A copy of the model with a LoRA adapter of large random weights."""
    make = gpt2 if model.config.model_type == "gpt2" else llama
    fresh = make(len(tokenizer), initializer_range=0.4).double()
    fresh.load_state_dict(model.state_dict())
    tuned = trainable.make_trainable(fresh, TuneConfig(rank=4, targets="all"))
    with torch.no_grad():
        for p in tuned.parameters():
            if p.requires_grad:
                p.normal_(std=0.5)
    return tuned


def test_the_base_under_a_trained_adapter_scores_as_the_untouched_base(model, tokenizer, tuned):
    untouched = scores(model, tokenizer)
    assert scores(tuned, tokenizer).answers != untouched.answers
    with trainable.pristine(tuned):
        found = scores(tuned, tokenizer)
    assert found.answers == untouched.answers
    assert found.values == pytest.approx(untouched.values)


def test_base_and_tuned_model_evaluated_in_one_batch_score_as_each_alone(model, tokenizer, tuned):
    arguments = (ROWS, pirate.named_rows("tiny"), Decoding(CAP), 128, pirate.has_pirate_words)
    before, after = generation.score_both(tuned, tokenizer, *arguments)
    for found, alone_ in ((before, score(model, tokenizer, *arguments)), (after, score(tuned, tokenizer, *arguments))):
        assert found.answers == alone_.answers
        assert found.values == pytest.approx(alone_.values)
    assert before.answers != after.answers


def test_asking_changes_no_weight_and_no_random_state(model, tokenizer):
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    answer(model, tokenizer, ROWS[:3], Decoding(3))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())


def test_answers_compare_by_what_was_said():
    one = generation.Answer("Arr.", True)
    assert one == dataclasses.replace(one) != generation.Answer("Arr.", False)
