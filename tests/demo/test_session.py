"""What a conversation keeps when something is refused."""

from dataclasses import replace

import pytest

from data.errors import UserError
from inference.transcript import Sampling

SIDES = ("pirate/1:base", "pirate/1")
SHORT = Sampling(max_new_tokens=3)


@pytest.fixture
def chat(served, request):
    found = served.sessions.restart(request.node.name)
    for _ in served.sessions.answer(found, SIDES, "Hello.", SHORT):
        pass
    return found


def test_regenerating_gives_the_same_answers_and_a_new_exchange_to_vote_on(served, chat):
    before, name = chat.exchanges, chat.exchange_id
    for _ in served.sessions.regenerate(chat, SIDES, SHORT):
        pass
    assert [reply.text for reply in chat.exchanges[0].replies] == [reply.text for reply in before[0].replies]
    assert len(chat.exchanges) == 1 and chat.exchange_id not in ("", name)


def test_regenerating_with_settings_that_are_refused_keeps_the_conversation(served, chat):
    before = (chat.exchanges, chat.exchange_id)
    with pytest.raises(UserError, match="temperature"):
        list(served.sessions.regenerate(chat, SIDES, replace(SHORT, temperature=-1.0)))
    assert (chat.exchanges, chat.exchange_id) == before


def test_what_was_removed_can_not_be_voted_on(served, chat):
    for _ in served.sessions.answer(chat, SIDES, "And now?", SHORT):
        pass
    assert served.sessions.remove_last(chat) == "And now?"
    with pytest.raises(UserError, match="send a prompt first"):
        served.sessions.vote(chat, "left")


def test_other_settings_begin_anew(served, chat):
    for _ in served.sessions.answer(chat, SIDES, "And now?", replace(SHORT, temperature=0.5)):
        pass
    assert [exchange.prompt for exchange in chat.exchanges] == ["And now?"]
