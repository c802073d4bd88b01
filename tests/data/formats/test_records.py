"""Preference rows, as votes are exported and DPO trainers read them, teach the chosen answer."""

import json

import pytest

from data.errors import DataError
from data.formats.files import read_rows


@pytest.fixture
def read(tmp_path):
    """Read rows from a JSON file with the given values, or from a file of the given name and text."""

    def read(content, name="p.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return read_rows(str(tmp_path / name))

    return read


def said(content, role="assistant"):
    return {"role": role, "content": content}


ASKED = [said("Be brief.", "system"), said("Hi.", "user"), said("Ho."), said("Bye.", "user")]


def preference(prompt: object = "Hi.", chosen: object = "Ahoy.", rejected: object = "Hello.", **more):
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def test_a_preference_of_texts_is_its_prompt_and_the_chosen_answer(read):
    (row,) = read([preference(" Hi.", "Ahoy.\n", vote_id="7")])
    assert row.turns == (("Hi.", "Ahoy."),)


def test_a_preference_of_messages_is_a_conversation_that_ends_with_the_chosen_answer(read):
    (row,) = read([preference(ASKED, [said("Farewell.")], [said("Go.")])])
    assert (row.system, row.turns) == ("Be brief.", (("Hi.", "Ho."), ("Bye.", "Farewell.")))


def test_a_conversation_given_whole_on_both_sides_is_read_as_well(read):
    (row,) = read([preference([], [said("Hi.", "user"), said("Ahoy.")], [said("Hi.", "user"), said("No.")])])
    assert row.turns == (("Hi.", "Ahoy."),)


def test_a_table_may_hold_preferences(read):
    (row,) = read("prompt,chosen,rejected\nHi.,Ahoy.,Hello.\n", "p.csv")
    assert row.turns == (("Hi.", "Ahoy."),)


@pytest.mark.parametrize("more", [{"response": "Aye."}, {"messages": [said("Hi.", "user"), said("Aye.")]}])
def test_a_response_or_messages_come_before_the_chosen_answer(read, more):
    (row,) = read([preference(**more)])
    assert row.turns == (("Hi.", "Aye."),)


def test_an_answer_that_was_chosen_over_several_others_is_one_row(read):
    rows = read([preference(), preference(rejected="Hey."), preference(chosen="Hey.", rejected="Ahoy.")])
    assert [row.response for row in rows] == ["Ahoy.", "Hey."]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (preference(chosen=" "), "p.json row 1: the chosen answer is blank"),
        (preference(None), "p.json row 1: the prompt is null, not text"),
        (
            preference(chosen=[said("Ahoy.")]),
            "p.json row 1: the prompt is text and chosen is a list; both must be text, or both messages",
        ),
        (preference(ASKED, "Ahoy."), "row 1: the prompt is a list and chosen is text; both must be text"),
        (preference(ASKED, []), "p.json row 1: the last message is by user; it must be by assistant"),
        (preference(ASKED[:3], [said("Ahoy.")]), "message 4 is by assistant, where user must come"),
        (preference(["Hi."], [said("Ahoy.")]), "message 1 is text, not an object with role and content"),
        (
            {"prompt": "Hi.", "chosen": "Ahoy."},
            'expected prompt and response, or messages (rename "chosen" to "response"?)',
        ),
    ],
)
def test_a_preference_that_can_not_be_used_is_refused_with_its_reason(read, value, problem):
    with pytest.raises(DataError) as caught:
        read([value])
    assert problem in caught.value.problems[0]
    assert len(caught.value.problems) == 1


def test_a_table_that_names_the_chosen_answer_twice_is_refused(read):
    with pytest.raises(DataError, match="the header names chosen twice"):
        read("prompt,chosen,chosen,rejected\na,b,c,d\n", "p.csv")
