"""Nearly equal texts are found whatever all texts share, and different ones are not."""

import json

import pytest

from data import datasets, pirate
from data.errors import DataError
from data.near_duplicates import near_duplicates
from recipes.sft.config import TuneConfig
from recipes.sft.data import load

TRAIN = [
    "My bus leaves in ten minutes.",
    "Who ate the last piece of the chocolate cake?",
    "The cat is sleeping on your chair in the kitchen.",
    "Please call the doctor for my grandfather tomorrow morning.",
]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Who ate the last piece of chocolate cake?", 1),
        ("who ate THE last piece of the chocolate cakes", 1),
        ("The cat is sleeping on your chair in the kitchen now!", 2),
        ("Please call a doctor for my grandfather tomorrow morning.", 3),
    ],
)
def test_a_small_change_makes_a_near_duplicate(text, number):
    assert near_duplicates(TRAIN, ["A sentence on other things.", text]) == {number: 1}


@pytest.mark.parametrize(
    "text",
    ["My train leaves in twenty hours.", "The dog was eating under the table in the garden.", "Who?", "", "Call me."],
)
def test_other_texts_are_no_near_duplicates(text):
    assert near_duplicates(TRAIN, [text]) == {}


def test_what_all_texts_begin_with_counts_for_nothing():
    begin = "Translate the following sentence to pirate English, please: "
    things = [
        "a kettle",
        "the moon",
        "the neighbours of my aunt",
        "ten fish",
        "old shoes",
        "red wine",
        "a song",
        "that door",
    ]
    assert near_duplicates([begin + thing for thing in things], [begin + "his uncle", begin + "new boots"]) == {}
    assert near_duplicates([f"Say number {i}." for i in range(20)], [f"Say number {i}." for i in range(20, 24)]) == {}
    assert near_duplicates([begin + thing for thing in things], [begin + "the neighbours of my aunts"]) == {2: 0}


def test_the_bundled_sets_have_no_near_duplicates():
    held_out = [row.prompt for row in pirate.test_rows()]
    assert all(near_duplicates([row.prompt for row in pirate.named_rows(n)], held_out) == {} for n in pirate.SETS)


HELD_OUT = ("The cat is sleeping on a chair in the kitchen.", "He sings.", "She has a cold.", "They went by boat.")


def pairs(*extra):
    sentences = [*TRAIN, "It rains.", "We sold the house.", "Is this seat free?", "I lost my keys.", "Good night."]
    return [{"prompt": prompt, "response": f"Arr! {prompt}"} for prompt in (*sentences, *extra)]


def test_training_rows_near_a_held_out_row_are_taken_out_and_counted(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(pairs("The cat is sleeping on your chair in the kitchens.")))
    test = [{"prompt": prompt, "response": f"Arr! {prompt}"} for prompt in HELD_OUT]
    (tmp_path / "test.json").write_text(json.dumps(test))
    rows = load(TuneConfig(dataset=str(tmp_path / "train.json"), test_dataset=str(tmp_path / "test.json")))
    assert [row.prompt for row in rows.train] == [p["prompt"] for p in pairs() if "cat is" not in p["prompt"]]
    (note,) = rows.notes
    assert note.startswith("2 training rows have nearly the prompt of a held-out row") and note.endswith(": taken out")
    assert len(rows.validation) + len(rows.test) == 4


def test_too_few_rows_that_are_left_are_an_error(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(pairs()[:6]))
    test = [{"prompt": prompt, "response": "Arr!"} for prompt in HELD_OUT]
    (tmp_path / "test.json").write_text(json.dumps(test))
    with pytest.raises(DataError, match="too few to train on"):
        load(TuneConfig(dataset=str(tmp_path / "train.json"), test_dataset=str(tmp_path / "test.json")))


def test_labelled_rows_near_a_test_row_are_taken_out_of_training(tmp_path):
    names = "kettle ladder mirror pencil blanket bottle carpet drawer engine feather guitar hammer".split()
    rows = [
        {"text": f"I bought the {n} and it broke after {len(n)} days.", "label": i % 2} for i, n in enumerate(names)
    ]
    rows += [{"text": "A wonderful evening with songs and a happy end for all.", "label": 1}]
    rows += [{"text": "Nothing but rain, noise and a story without any sense.", "label": 0}]
    test = [{"text": "A wonderful evening with songs and a happy end for us all.", "label": 1}]
    test += [{"text": "I slept through most of it, sorry to tell.", "label": 0}]
    for name, found in (("train", rows), ("test", test)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, found)))
    found = datasets.load(str(tmp_path / "train.jsonl"), test_dataset=str(tmp_path / "test.jsonl"))
    assert found.report.near_duplicates == 1 and len(found.train) == len(rows) - 1
    assert "1 training rows have nearly the text of a test row: taken out" in found.report.lines()
