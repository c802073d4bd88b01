"""Preferences are read from the forms of TRL, Hugging Face, OpenAI and Anthropic, and checked row by row."""

import json

import pytest

from data.errors import DataError
from data.formats.preferences import load
from data.preferences import Rating

MESSAGE = {"role": "assistant", "content": "Yes."}
OTHER = {"role": "assistant", "content": "No."}
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Is it?"}]
HH = "\n\nHuman: Is it?\n\nAssistant: "
FORMS = {
    "texts": {"prompt": "Is it?", "chosen": "Yes.", "rejected": "No.", "system": "Be kind."},
    "messages": {"prompt": ASKED, "chosen": [MESSAGE], "rejected": [OTHER]},
    "whole conversations": {"chosen": [*ASKED, MESSAGE], "rejected": [*ASKED, OTHER]},
    "openai": {"input": {"messages": ASKED}, "preferred_output": [MESSAGE], "non_preferred_output": [OTHER]},
    "messages as text": {"prompt": json.dumps(ASKED), "chosen": json.dumps([MESSAGE]), "rejected": json.dumps([OTHER])},
    "one message a side": {"prompt": ASKED, "chosen": MESSAGE, "rejected": OTHER},
    "sharegpt": {
        "conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Is it?"}],
        "chosen": {"from": "gpt", "value": "Yes."},
        "rejected": {"from": "gpt", "value": "No."},
    },
    "system column": {"prompt": "Is it?", "chosen": "Yes.", "rejected": "No.", "system_prompt": "Be kind."},
    "anthropic": {"chosen": HH + "Yes.", "rejected": HH + "No.", "system": "Be kind."},
}


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("row", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_preference(tmp_path, row):
    (found, _), notes = load(written(tmp_path, {**row, "annotator": "a", "score": 2}, FORMS["texts"]))
    assert (found.system, found.turns, found.rejected) == ("Be kind.", (("Is it?", "Yes."),), "No.")
    assert found.annotator == "a" and notes == ["rows.jsonl: columns not used: score"]


def test_what_belongs_to_the_prompt_of_a_preference_is_kept(tmp_path):
    sides = {"chosen": "Yes.", "rejected": "No."}
    beside = {"input": "The town is Bonn.", "history": [["Hi.", "Ho."]]}
    rows = [{"prompt": "Is it?", **sides, **beside}, {"instruction": "Is it?", **sides, **beside}]
    found, notes = load(written(tmp_path, *rows))
    assert [row.turns for row in found] == [(("Hi.", "Ho."), ("Is it?\nThe town is Bonn.", "Yes."))] * 2
    assert (found[0].rejected, notes) == ("No.", [])
    text = {"prompt": "List it.", "chosen": '[{"town": "Bonn"}]', "rejected": "[]"}
    assert load(written(tmp_path, text))[0][0].response == '[{"town": "Bonn"}]'  # JSON that is no list of messages


@pytest.mark.parametrize(("label", "good"), [(True, True), ("False", False), (1, True), (0, False)])
def test_rated_answers_are_read(tmp_path, label, good):
    [found], _ = load(written(tmp_path, {"prompt": "Is it?", "completion": "Yes.", "label": label}))
    assert isinstance(found, Rating) and (found.response, found.good) == ("Yes.", good)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**FORMS["texts"], "chosen": ""}, "the chosen answer is blank"),
        ({**FORMS["texts"], "rejected": [MESSAGE]}, "both must be text, or both messages"),
        ({**FORMS["texts"], "prompt": ""}, "the prompt is blank"),
        ({**FORMS["messages"], "rejected": [ASKED[1]]}, "rejected: message 3 is by user"),
        ({**FORMS["anthropic"], "rejected": HH.replace("it", "that") + "No."}, "differ before their last answers"),
        ({**FORMS["openai"], "preferred_output": []}, "preferred_output is not a list of one message"),
        ({**FORMS["openai"], "input": "Is it?"}, "input is not an object with messages"),
        ({"prompt": "a", "completion": "b", "label": "maybe"}, "expected true for a good answer"),
        ({"prompt": "a", "response": "b"}, "expected prompt, chosen and rejected"),
    ],
)
def test_what_is_wrong_with_a_row_is_named_with_its_place(tmp_path, row, words):
    with pytest.raises(DataError, match=words) as refusal:
        load(written(tmp_path, FORMS["texts"], row))
    assert all(line.startswith("rows.jsonl row 2") for line in refusal.value.problems)


def test_a_table_needs_a_header_of_preferences(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("prompt,chosen,rejected\nIs it?,Yes.,No.\n")
    assert load(str(path))[0][0].rejected == "No."
    path.write_text("prompt,response\nIs it?,Yes.\n")
    with pytest.raises(DataError, match="its columns are prompt, response"):
        load(str(path))
