"""Conversations that are kept: what a record holds, and what a shared copy is."""

from dataclasses import replace

import pytest

from data.errors import UserError
from demo.conversation import Conversation, from_record, to_record
from demo.conversations import ConversationStore
from demo.kept import KeptConversations
from inference.transcript import Divergence, Exchange, ModelInfo, Reply, Sampling

MODELS = tuple(ModelInfo(name, "lora", "aa", "bundled", "bb", 9) for name in ("pirate/1:base", "pirate/1"))


def reply(text):
    return Reply(text, (1, 2), "end", 0.1, 0.2)


def talked(prompt="Where are my keys?\nI need them.", **more):
    exchange = Exchange(prompt, (reply("Here."), reply("Arr.")), (None, Divergence(0, ("H", "A"), ((), ()))), seed=9)
    references = tuple(model.reference for model in MODELS)
    return Conversation(references, MODELS, (), Sampling(), "Be brief.", (exchange,), (0, 1), **more)


@pytest.fixture
def store(tmp_path):
    found = ConversationStore(tmp_path / "new" / "conversations.sqlite")
    yield found
    found.close()


def test_a_record_holds_all_that_was_seen():
    chat = talked(blind=True, execution="one batch")
    again = from_record(to_record(chat))
    assert again.transcript() == chat.transcript() and again.last_seed == 9 and again.hidden
    assert (again.references, again.order, again.execution) == (chat.references, chat.order, "one batch")


def test_conversations_are_listed_by_their_first_prompt_newest_first_and_deleted(store):
    first = store.save(talked())
    second = store.save(talked("x" * 99))
    assert [each.id for each in store.listed()] == [second, first]
    assert store.listed()[1].name == "Where are my keys? I need them." and len(store.listed()[0].name) == 60
    store.delete(first)
    with pytest.raises(UserError, match="not kept here"):
        store.open(first)


def test_a_conversation_that_goes_on_keeps_its_id_and_a_shared_copy_stays_as_it_was(store):
    chat = talked()
    name, shared = store.save(chat), store.share(chat)
    chat.exchanges = (*chat.exchanges, replace(chat.exchanges[0], prompt="And now?"))
    assert store.save(chat) == name and len(store.open(name).exchanges) == 2
    copy = store.open(shared)
    assert len(copy.exchanges) == 1 and len(store.listed()) == 1
    assert store.save(copy) not in (name, shared), "what is said after a shared link is a conversation of its own"


def test_after_a_blind_vote_everything_is_in_the_order_that_was_seen():
    chat = talked(blind=True)
    chat.order = (1, 0)
    chat.reveal()
    assert chat.references == ("pirate/1", "pirate/1:base") and chat.order == (0, 1) and not chat.hidden
    assert [each.text for each in chat.exchanges[0].replies] == ["Arr.", "Here."]
    assert chat.exchanges[0].divergences[1].chosen == ("A", "H")


def test_another_seed_continues_a_conversation_and_another_setting_does_not():
    chat = talked()
    assert not chat.begins_anew(chat.references, Sampling(seed=3), False, "Be brief.")
    assert chat.begins_anew(chat.references, Sampling(temperature=0.1), False, "Be brief.")
    assert chat.begins_anew(chat.references, Sampling(), False, "")


def test_a_transcript_with_settings_beyond_the_pages_limits_is_refused_by_name_and_leaves_what_is_open(served):
    hot = replace(talked().transcript(), sampling=Sampling(temperature=4.0))
    before = served.sessions.conversation("hot")
    with pytest.raises(UserError, match="can't go on here: temperature must be a number from 0 to 2, not 4.0"):
        KeptConversations(served.sessions).from_file("hot", hot.to_json())
    assert served.sessions.conversation("hot") is before
