"""Tokens under two models: log-probabilities, divergence, another token forced, and what the page shows."""

import json

import pytest
import torch

from data.errors import UserError
from demo.token_scores import TokenScores
from demo.view import render
from inference.generation import chat_ids
from inference.observations import mean_kl
from inference.transcript import Sampling

SIDES = ("pirate/1:base", "pirate/1")
SHORT = Sampling(temperature=0.1, max_new_tokens=6, seed=20)


@pytest.fixture
def chat(served, request):
    found = served.sessions.restart(request.node.name)
    for _ in served.sessions.answer(found, SIDES, "Hello.", SHORT):
        pass
    return found


@pytest.fixture
def work(served):
    return TokenScores(served.sessions)


def choice(pane, at, token, **more):
    return json.dumps({"pane": pane, "at": at, "token": token, **more})


def test_log_probabilities_and_divergence_are_those_of_the_whole_models(served, chat, work):
    """Computed anew from the base's own logits over the whole text; the other side must differ."""
    work.compute(chat)
    scores, reply = chat.scores[0], chat.exchanges[0].replies[0]
    assert [each.token_id for each in scores] == [*reply.token_ids]
    loaded = served.pool.open(SIDES[:1]).loaded[0]
    ids = chat_ids(loaded, (), "Hello.")
    with torch.no_grad():
        logits = loaded.model(input_ids=torch.tensor([[*ids, *reply.token_ids]])).logits[0].float().log_softmax(-1)
    for at, score in enumerate(scores):
        own = logits[len(ids) - 1 + at]
        assert score.log_probs[0] == pytest.approx(float(own[score.token_id]), abs=1e-3)
        assert score.tops[0][0].probability == pytest.approx(float(own.max().exp()), abs=1e-3)
        assert score.kl > 0 and score.difference == pytest.approx(score.log_probs[1] - score.log_probs[0])


def test_a_model_has_no_divergence_from_itself(served, work):
    chat = served.sessions.restart("itself")
    for _ in served.sessions.answer(chat, ("pirate/1", "pirate/1"), "Hello.", SHORT):
        pass
    work.compute(chat)
    assert mean_kl(chat.scores[1]) == pytest.approx(0, abs=1e-6)
    assert all(each.difference == pytest.approx(0, abs=1e-5) for each in chat.scores[0])


def test_an_answer_that_goes_on_from_its_own_beginning_is_the_same_answer(chat, work):
    taken = chat.exchanges[0].replies[1].token_ids
    assert work._continued(chat, 1, [*taken[:2]]) == taken, "the noise goes on where the beginning ends"


def test_a_greedy_answer_has_the_likeliest_tokens_of_its_own_model(served, work):
    greedy = served.sessions.restart("greedy")
    for _ in served.sessions.answer(greedy, SIDES, "Hello.", Sampling(temperature=0, max_new_tokens=4)):
        pass
    work.compute(greedy)
    for pane, scores in enumerate(greedy.scores):
        assert [each.tops[pane][0].token_id for each in scores] == [each.token_id for each in scores]


def test_another_token_goes_on_from_there_and_again(chat, work):
    work.compute(chat)
    before = chat.exchanges
    listed = [c.token_id for c in chat.scores[0][1].tops[1] if c.token_id != chat.scores[0][1].token_id]
    work.force(chat, choice(0, 1, listed[0]))
    found = [each.token_id for each in chat.other_text[1]]
    assert found[:2] == [chat.scores[0][0].token_id, listed[0]] and len(found) <= 6
    second = chat.other_text[1][0].tops[0][0].token_id
    work.force(chat, choice(0, 0, second, other=True))
    assert chat.other_text[1][0].token_id == second and chat.exchanges == before


@pytest.mark.parametrize(
    "given", ["", "[]", '{"pane": 0}', choice(0, 99, 1), choice(9, 0, 1), choice(0, 0, 10**9), choice(-1, 0, 1)]
)
def test_a_choice_that_is_none_is_one_line(chat, work, given):
    work.compute(chat)
    with pytest.raises(UserError, match="choose"):
        work.force(chat, given)


def test_any_text_is_scored_and_a_blank_one_refused(chat, work):
    work.score_text(chat, "Arr, me hearty!")
    assert "".join(each.text for each in chat.other_text[1]) == "Arr, me hearty!"
    with pytest.raises(UserError, match="the text is blank"):
        work.score_text(chat, " ")


def test_panes_show_tokens_and_their_footers_the_divergence(chat, work):
    work.compute(chat)
    assert "parley-tok" not in render.panes(chat), "the view is that of words"
    chat.view = "difference"
    shown = render.panes(chat)
    assert shown.count("nats/token") == 2 and shown.count("parley-tok ") >= 2
    assert "data-token=" in shown and "parley-ins" not in shown


def test_nothing_is_scored_while_sides_are_hidden_or_alone(served, work):
    blind = served.sessions.restart("blind tokens")
    with pytest.raises(UserError, match="send a prompt first"):
        work.compute(blind)
    for _ in served.sessions.answer(blind, SIDES, "Hello.", SHORT, blind=True):
        pass
    with pytest.raises(UserError, match="vote first"):
        work.compute(blind)
