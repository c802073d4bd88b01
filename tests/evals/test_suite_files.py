"""Suites from files: a judge as the scorer, TruthfulQA, and what is wrong with a file."""

import json

import numpy as np
import pytest

from data.errors import ConfigError, UserError
from evals import metrics
from evals.multiple_choice import mc1, mc2
from evals.suites import judge, table
from evals.suites.suite import HeldOut
from recipes.sft import claims

JUDGED = """name: polite
scorer: judge
judge: pirate/7
value: Is the answer polite?
prompts: [Ask for bread., Say hi., Refuse., Leave., Go.]
"""
QUESTIONS = [
    {"question": "What is the sky?", "best": "Blue", "incorrect": "Loud; Red", "correct": "Blue; Clear"},
    {"question": "Who bakes?", "best": "A baker", "incorrect": "A ship"},
]


def of_pairs(texts):
    """A judge: yes where the answer holds *please*, always the first option for *first*, unreadable for *odd*."""
    letters = []
    for text in texts:
        answer = text.partition("Answer:\n")[2].partition("\n\nQuestion:")[0]
        yes = "B" if "A: no" in text else "A"
        no = "A" if yes == "B" else "B"
        letters.append({"first": "A", "odd": ""}.get(answer, yes if "please" in answer else no))
    return letters


@pytest.fixture
def polite(tmp_path):
    (tmp_path / "polite.yaml").write_text(JUDGED)
    names = []

    def make(name):
        names.append(name)
        return of_pairs

    [suite] = table.choose(HeldOut((), judge=make), str(tmp_path / "polite.yaml"))
    assert names == ["pirate/7"]
    return suite


def test_a_judge_reads_every_answer_with_both_orders_of_yes_and_no(polite):
    report = polite.score(polite.items, ["Bread, please", "Hi", "first", "odd", "Yes, please"])
    assert report.metrics() == {"accuracy": (1 + 0 + 0.5 + 1) / 4, "position_bias": 0.25, "unread_rate": 0.2}
    straight, reversed = judge.prompts("Say hi.", "Hi", "Is it polite?")
    assert "A: no\nB: yes" in straight and "A: yes\nB: no" in reversed
    assert all("Prompt:\nSay hi." in text and "Question: Is it polite?" in text for text in (straight, reversed))


def test_two_models_are_compared_in_pairs_by_a_judge_and_an_unreadable_reply_counts_for_neither(polite):
    before = polite.score(polite.items, ["No"] * 5).statistics()
    after = polite.score(polite.items, ["Yes, please", "odd", *["please"] * 3]).statistics()
    change = metrics.change("polite/accuracy", before["accuracy"], after["accuracy"])
    assert change and (change.before, change.after) == (0, 1)


def test_claims_take_what_an_own_suite_reports_and_nothing_else(polite):
    from data import pirate
    from recipes.sft.data import Rows

    rows = Rows([], [], pirate.test_rows(), "")
    known = {name for name in claims.measured(rows, [polite]) if "/" in name}
    assert known == {"polite/accuracy", "polite/position_bias", "polite/unread_rate"}


def test_without_a_place_for_a_judge_or_with_one_that_is_not_there_there_is_one_line(tmp_path):
    (tmp_path / "polite.yaml").write_text(JUDGED)
    with pytest.raises(ConfigError, match="there is no judge here"):
        table.choose(HeldOut(()), str(tmp_path / "polite.yaml"))

    def missing(name):
        raise UserError(f"no version {name}")

    with pytest.raises(UserError, match="no version pirate/7"):
        table.choose(HeldOut((), judge=missing), str(tmp_path / "polite.yaml"))


@pytest.mark.parametrize("place", ["questions.jsonl", ".", "mc_task.json"])
def test_truthfulqa_is_a_suite_by_file_or_folder(tmp_path, place):
    published = [
        {
            "question": each["question"],
            "mc1_targets": {each["best"]: 1, **dict.fromkeys(each["incorrect"].split("; "), 0)},
            "mc2_targets": {
                **dict.fromkeys(each.get("correct", each["best"]).split("; "), 1),
                **dict.fromkeys(each["incorrect"].split("; "), 0),
            },
        }
        for each in QUESTIONS
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(each) + "\n" for each in QUESTIONS))
    (tmp_path / "mc_task.json").write_text(json.dumps(published))
    [suite] = table.choose(HeldOut(()), f"truthfulqa:{tmp_path / place}")
    assert suite.name == "truthfulqa" and suite.items[1].prompts == ("Q: Who bakes?\nA:",)
    probs = {"Blue": 0.2, "Loud": 0.1, "Red": 0.3, "Clear": 0.4, "A baker": 0.6, "A ship": 0.2}
    outputs = [np.log([[probs[text] for text in item.answers]]) for item in suite.items]
    found = suite.score(suite.items, outputs)
    assert found.metrics() == pytest.approx({"mc1": 0.5, "mc2": (0.6 + 0.75) / 2})
    logs = {text: float(np.log(p)) for text, p in probs.items()}
    choices = (("A baker", True), ("A ship", False))
    assert mc1(choices, logs) and found.statistics()["mc2"][1, 0] == pytest.approx(mc2(choices, logs))


def test_a_place_without_questions_is_one_line(tmp_path):
    for name in ("TruthfulQA_a.csv", "TruthfulQA_b.csv"):
        (tmp_path / name).write_text("question,best,incorrect\nWho?,I,You\n")
    (tmp_path / "empty").mkdir()
    for place, problem in (
        (tmp_path, "name one of its files, TruthfulQA_a.csv, TruthfulQA_b.csv"),
        (tmp_path / "empty", "there is no mc_task*.json and no TruthfulQA*.csv in this folder"),
        (tmp_path / "gone.csv", "there is no such file"),
    ):
        with pytest.raises(UserError) as caught:
            table.choose(HeldOut(()), f"truthfulqa:{place}")
        assert problem in str(caught.value) and "\n" not in str(caught.value)


ITEM = '{"prompt": "a", "scorer": "exact", "value": "b"}\n'


def is_text(prompt, answer):
    return answer


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yaml", "scorer: exact\nvalue: a\nprompts: abc\n", "a.yaml: prompts must be a list"),
        ("a.yaml", "scorer: exact\nitems: {prompt: a}\n", "a.yaml: items must be a list"),
        ("a.yaml", "scorer: exact\nscorer: contains\nitems: [{prompt: a, value: b}]\n", "line 2: scorer stands twice"),
        ("a.yaml", "items: [{prompt: a, scorer: exact, value: b, value: c}]\n", "a.yaml line 1: value stands twice"),
        ("a.yaml", "scorer: exact\nitems: [{prompt: a, value: yes}]\n", "exact needs a value, a text; YAML reads yes"),
        ("a.yaml", "scorer: exact\nitems: [{prompt: a, value: ''}]\n", "exact needs a value, a text"),
        ("a.yaml", "scorer: choice\nitems: [{prompt: a, choices: [yes, no]}]\n", "the right one first; YAML reads yes"),
        (
            "a.yaml",
            "max_new_tokens: many\nscorer: exact\nvalue: a\nprompts: [b]\n",
            "a whole number from 1, not 'many'",
        ),
        ("a.yaml", "max_new_tokens: 0\nscorer: exact\nvalue: a\nprompts: [b]\n", "a whole number from 1, not 0"),
        ("a.yaml", "name: No way\nscorer: exact\nvalue: a\nprompts: [b]\n", "its name 'No way' must be small letters"),
        ("a.yaml", "scorer: judge\nvalue: Is it?\nprompts: [b]\n", "a.yaml line 3: judge needs a judge"),
        ("a.yaml", "scorer: python\nvalue: 'json:decoder'\nprompts: [b]\n", "its value 'json:decoder' is no function"),
        ("a.yaml", "scorer: python\nvalue: 'json:loads'\nprompts: [b]\n", "can't be called with prompt and answer"),
        ("a.yaml", "day: 2024-13-45\n", "a.yaml: it is not YAML"),
        ("a.yaml", "", "a.yaml: it must be a mapping"),
        ("a.yaml", "scorer: exact\ntimes: 3\nprompts: [b]\n", "a.yaml: times is no setting of a suite"),
        ("a.jsonl", '["b"]\n3\nnull\n"c"\n', "a.jsonl line 1: it has no prompt, a text (likewise lines 2 to 4)"),
        ("a.jsonl", ITEM.replace("exact", "exakt") * 9, "label (likewise lines 2 to 9)"),
        ("a.jsonl", ITEM + '{"prompt": "a", "scorer": "choice", "choices": ["b", "c"]}', "can't stand beside scorers"),
        ("a.jsonl", ITEM.replace("value", "values"), "a.jsonl line 1: values is not used"),
        ("a.jsonl", "\ufeff", "a.jsonl: it has no items"),
    ],
)
def test_every_fault_of_a_file_is_one_line(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        table.choose(HeldOut((), judge=lambda name: of_pairs), str(tmp_path / name))
    assert problem in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_what_is_no_file_or_no_text_is_one_line(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("gone.yaml", "latin.yaml", "folder.yaml"):
        with pytest.raises(UserError, match=f"suites=.*{name}: it (can't be read|is no UTF-8 text)"):
            table.choose(HeldOut(()), str(tmp_path / name))
    with pytest.raises(UserError, match="^suite=.*gone.yaml: it can't be read"):
        table.choose(HeldOut((), setting="suite"), str(tmp_path / "gone.yaml"))
    with pytest.raises(UserError, match="^suite must be auto, none"):
        table.choose(HeldOut((), setting="suite"), ",")


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.jsonl").write_text(ITEM)
    with pytest.raises(ConfigError, match="there are two suites with the name mine"):
        table.choose(HeldOut(()), f"{tmp_path}/a/mine.jsonl,{tmp_path}/b/mine.jsonl")


@pytest.mark.parametrize(("function", "problem"), [("is_text", "fails on the prompt 'b'"), ("len_", "must be 0 to 1")])
def test_a_function_that_fails_or_returns_something_else_is_one_line(tmp_path, function, problem):
    (tmp_path / "f.yaml").write_text(f"scorer: python\nvalue: 'tests.evals.test_suite_files:{function}'\nprompts: [b]")
    [suite] = table.choose(HeldOut(()), str(tmp_path / "f.yaml"))
    with pytest.raises(UserError, match=problem) as caught:
        suite.score(suite.items, ["an answer"])
    assert "\n" not in str(caught.value)


def len_(prompt, answer):
    return len(answer)
