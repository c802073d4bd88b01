"""Questions come in the layouts of the published files and in a plain one, all to the same rows."""

import csv
import json

import pytest

from data import datasets
from data.errors import DataError
from data.formats import hub, truthfulqa
from data.formats.records import Record

CORRECT, INCORRECT = ("Nothing happens", "They pass through you"), ("You grow a melon", "You die")
BEST = "They pass through you"


def write_csv(path, row):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    return path


def published(**more):
    return {
        "Type": "Adversarial", "Category": "Misconceptions", "Question": "What if you eat a melon seed?",
        "Best Answer": BEST, "Correct Answers": "; ".join(CORRECT) + ";", "Incorrect Answers": "; ".join(INCORRECT),
        "Source": "https://example.org/a;b", **more,
    }  # fmt: skip


def test_the_published_table_is_read(tmp_path):
    (row,) = truthfulqa.read(write_csv(tmp_path / "TruthfulQA.csv", published()))
    assert (row.text, row.best, row.correct, row.incorrect) == (published()["Question"], BEST, CORRECT, INCORRECT)
    assert (row.category, row.kind, row.wrong, row.label) == ("Misconceptions", "Adversarial", "", 1)
    assert row.id == "TruthfulQA-1"


def test_the_table_of_2025_names_the_best_incorrect_answer(tmp_path):
    (row,) = truthfulqa.read(write_csv(tmp_path / "t.csv", published(**{"Best Incorrect Answer": "You die"})))
    assert row.wrong == "You die"


def test_multiple_choice_files_are_read_and_their_blank_choices_left_out(tmp_path):
    choices = {BEST: 1, "You grow a melon": 0, "You die": 0}
    second = {"Nothing happens": 1, **choices, "": 0}
    path = tmp_path / "mc_task.json"
    path.write_text(json.dumps([{"question": "What?", "mc1_targets": choices, "mc2_targets": second}]))
    (row,) = truthfulqa.read(path)
    assert (row.best, row.correct, row.incorrect) == (BEST, CORRECT, INCORRECT)
    assert (row.category, row.kind) == (None, None)
    assert dict(row.mc1) == choices and dict(row.mc2) == {"Nothing happens": 1, **choices}


def test_a_plain_file_of_one_s_own_is_read(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "Why?", "best": "So", "incorrect": ["No; never", "Nay"]}) + "\n")
    (row,) = truthfulqa.read(path)
    assert (row.best, row.correct, row.incorrect) == ("So", ("So",), ("No; never", "Nay"))


def test_the_hub_gives_lists(monkeypatch):
    value = {"type": "Adversarial", "category": "Law", "question": "Why?", "best_answer": "So",
             "correct_answers": ["So", "Thus"], "incorrect_answers": ["No"]}  # fmt: skip
    monkeypatch.setattr(hub, "records", lambda place: [Record("row 1", value)] if place == truthfulqa.HUB_NAME else [])
    (row,) = truthfulqa.from_hub()
    assert (row.correct, row.incorrect, row.kind, row.id) == (("So", "Thus"), ("No",), "Adversarial", "truthfulqa-1")


GOOD = {"question": "Why?", "best": "So", "incorrect": "No; Nay"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": " "}, "its question is blank"),
        ({"best": None}, "its best answer is null"),
        ({"incorrect": ""}, "it has no incorrect answer"),
        ({"incorrect": "No; So"}, "its best answer 'So' is among the incorrect ones"),
        ({"incorrect": ["No", 7]}, "an answer is the number 7, not text"),
        ({"mc1_targets": "No"}, "its best answer is null"),
    ],
)
def test_a_question_that_can_not_be_used_is_named(tmp_path, change, said):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **change}) + "\n")
    with pytest.raises(DataError) as caught:
        truthfulqa.read(path)
    assert any(line.startswith("mine.jsonl row 2: ") and said in line for line in caught.value.problems)


def test_a_header_without_the_columns_is_refused(tmp_path):
    (tmp_path / "mine.csv").write_text("question,answer\na,b\n")
    with pytest.raises(DataError, match="its columns are question, answer; expected question, best and incorrect"):
        truthfulqa.read(tmp_path / "mine.csv")


def test_a_folder_with_the_published_file_is_read_as_a_data_set(tmp_path):
    rows = [published(Question=f"What if {i}?", **{"Best Answer": f"So {i}"}) for i in range(30)]
    with (tmp_path / "TruthfulQA.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = datasets.load(str(tmp_path), n_test=6)
    assert found.is_questions and (len(found.test), len(found.train) + len(found.test) <= 30) == (6, True)
    (tmp_path / "TruthfulQA_v1.csv").write_text("")
    with pytest.raises(DataError, match="name one of its files, TruthfulQA.csv, TruthfulQA_v1.csv"):
        datasets.load(str(tmp_path))
