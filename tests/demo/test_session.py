"""What a conversation keeps when something is refused."""

from dataclasses import replace

import pytest

from data.errors import UserError
from inference.transcript import Sampling

SIDES = ("pirate/1:base", "pirate/1")
SHORT = Sampling(max_new_tokens=3)


@pytest.fixture
def talk(served, request):
    found = served.desk.restart(request.node.name)
    for _ in served.desk.ask(found, SIDES, "Hello.", SHORT):
        pass
    return found


def test_asking_again_gives_the_same_answers_and_a_new_exchange_to_vote_on(served, talk):
    before, name = talk.exchanges, talk.exchange_id
    for _ in served.desk.again(talk, SIDES, SHORT):
        pass
    assert [reply.text for reply in talk.exchanges[0].replies] == [reply.text for reply in before[0].replies]
    assert len(talk.exchanges) == 1 and talk.exchange_id not in ("", name)


def test_asking_again_with_settings_that_are_refused_leaves_what_was_said(served, talk):
    before = (talk.exchanges, talk.exchange_id)
    with pytest.raises(UserError, match="temperature"):
        list(served.desk.again(talk, SIDES, replace(SHORT, temperature=-1.0)))
    assert (talk.exchanges, talk.exchange_id) == before


def test_what_was_taken_back_can_not_be_voted_on(served, talk):
    for _ in served.desk.ask(talk, SIDES, "And now?", SHORT):
        pass
    assert served.desk.take_back(talk) == "And now?"
    with pytest.raises(UserError, match="ask something first"):
        served.desk.vote(talk, "left")


def test_other_settings_begin_anew(served, talk):
    for _ in served.desk.ask(talk, SIDES, "And now?", replace(SHORT, seed=8)):
        pass
    assert [exchange.prompt for exchange in talk.exchanges] == ["And now?"]
