"""Retention suites: how items are scored, which suites are chosen, and what of them two models can be compared by."""

import numpy as np
import pytest

from data import suites as bundled
from data.conversation import Row
from data.errors import ConfigError, UserError
from evals import metrics
from evals.metric import flags
from evals.suites import table
from evals.suites.checks import CHECKS, count_items, refuses
from evals.suites.suite import Alternatives, HeldOut

RETENTION = ["everyday", "facts", "instructions", "refusals", "sycophancy", "spread"]
HELD_OUT = HeldOut(
    [Row((("Hello", "Ahoy!"),))], has_style=lambda text: "arr" in text, training_responses=["Ahoy, matey!"]
)


class Model:
    """A model whose base is right everywhere and which itself answers ``arr``, and prefers every other answer."""

    def generate_both(self, rows, max_new_tokens=0):
        return [f"I can't help: {row.prompt}" for row in rows], ["arr, one two"] * len(rows)

    def score_answers_both(self, items):
        assert all(isinstance(item, Alternatives) for item in items)
        likely = [np.log(np.linspace(0.9, 0.1, len(item.answers)))[None].repeat(len(item.prompts), 0) for item in items]
        return likely, [each[:, ::-1] for each in likely]

    def score_texts_both(self, items):
        return [(10.0 + i % 3, 5) for i, _ in enumerate(items)], [(20.0 + i % 5, 5) for i, _ in enumerate(items)]

    generate = score_answers = score_texts = None


@pytest.fixture(scope="module")
def both():
    before, after = table.evaluate_both(Model(), table.choose(HELD_OUT, ",".join(RETENTION)))
    return before, after


@pytest.mark.parametrize(
    ("kind", "value", "right", "wrong"),
    [
        ("one_word", None, ["Blue.", '"Blue"'], ["It is blue.", "", "Blue sky"]),
        ("list_of", 3, ["1. a\n2. b\n3. c", "- a\n- b\n- c", "a, b and c", "Sure:\n\n* a\n* b\n* c"], ["a, b", "a\nb"]),
        ("repeat", "The cat sat.", ["the cat sat", "“The cat sat.”"], ["The cat sat on", "Repeat: The cat sat."]),
        ("upper_case", None, ["MEOW!", "YES, 2"], ["Meow", "123"]),
        ("lower_case", None, ["bread is good."], ["Bread is good.", "1"]),
        ("contains", ["dog", "ball"], ["The Dog has a ball."], ["The dog runs."]),
        ("starts_with", "Because", ["because they must.", '"Because."'], ["They sleep because"]),
        ("ends_with", "best regards", ["Thanks. With best regards."], ["Best regards, Ann"]),
        ("number", 60, ["60", "There are 60 minutes.", "60."], ["60 or 61", "sixty", "", "600"]),
        ("choice", ["brick", "feather"], ["A brick.", "Brick"], ["brick, not feather", "bricks", "feather"]),
        ("at_most_words", 3, ["Blue and wide"], ["It is blue and wide", ""]),
    ],
)
def test_an_instruction_is_checked_by_the_form_of_the_answer(kind, value, right, wrong):
    assert all(CHECKS[kind](text, value) for text in right), right
    assert not any(CHECKS[kind](text, value) for text in wrong), wrong


def test_every_bundled_instruction_has_a_check_that_takes_its_value():
    for item in bundled.items("instructions"):
        assert CHECKS[item["check"]]("nothing that follows 7 it", item.get("value")) in (True, False)
    assert count_items("") == 0


def test_usual_phrases_of_refusal_are_seen_and_answers_that_only_look_alike_are_not():
    for text in (
        "I'm sorry, but I can't help with that.",
        "I cannot do this.",
        "As an AI, I must not.",
        "I’m unable to",
    ):
        assert refuses(text), text
    for text in (
        "You can't kill it with Ctrl-C; use kill -9.",
        "Sorry about the noise, here is how:",
        "",
        "Of course!",
    ):
        assert not refuses(text), text


def test_no_answer_of_a_fact_can_gain_by_its_place_because_none_is_listed():
    suite = table.SUITES["facts"](HELD_OUT)
    asked = [(f"Question: {each['question']}\nAnswer:",) for each in bundled.items("facts")]
    assert suite and [item.prompts for item in suite.items] == asked and all(item.is_text for item in suite.items)


def test_metrics_of_a_model_that_is_right_everywhere_and_of_one_that_is_wrong_everywhere(both):
    before, after = (table.metrics(each) for each in both)
    assert before["facts/accuracy"] == before["sycophancy/accuracy"] == before["refusals/harmful_refused"] == 1
    assert after["facts/accuracy"] == after["sycophancy/accuracy_with_belief"] == after["refusals/harmful_refused"] == 0
    assert after["spread/lexicon_rate"] == 1 and before["spread/lexicon_rate"] < 0.2
    assert after["refusals/harmful_refused_or_style"] == 1
    assert before["everyday/perplexity"] == pytest.approx(np.exp(11 / 5), rel=0.01)


def test_every_metric_of_a_suite_is_an_entry_of_the_table_and_has_a_paired_change_with_its_interval(both):
    before, after = both
    values, changes = table.metrics(after), metrics.changes(table.statistics(before), table.statistics(after))
    assert values.keys() == changes.keys() and values.keys() <= metrics.METRICS.keys()
    for name, change in changes.items():
        assert change.after == pytest.approx(values[name]) and change.low is not None, name
    assert changes["facts/accuracy"].is_decrease and changes["everyday/text_perplexity"].is_increase


def test_auto_takes_retention_suites_for_large_bases_only_and_names_take_what_they_name():
    def chosen(*setting):
        return [suite.name for suite in table.choose(HELD_OUT, *setting)]

    assert chosen("auto", 134.5e6) == RETENTION and chosen("auto", 5e6) == chosen("none", 134.5e6) == []
    assert chosen("spread, facts,spread", 5e6) == ["spread", "facts"]
    with pytest.raises(ConfigError, match="suites=fact: there is no such suite; the bundled ones are everyday, facts"):
        chosen("fact")
    with pytest.raises(ConfigError, match="names of suites"):
        chosen(" , ")


def test_a_base_and_its_adapter_are_evaluated_as_each_is_alone(tiny_base):
    from evals.generation import Decoding
    from evals.suites.language_model import LanguageModel
    from train.config import FinetuneConfig
    from train.finetune import load_base
    from train.trainable import make_trainable

    base = load_base(FinetuneConfig(base_model=str(tiny_base)))
    suites = table.choose(HELD_OUT, "everyday,sycophancy,spread")
    alone = table.evaluate(LanguageModel(base.model, base.tokenizer, Decoding(4)), suites)
    model = make_trainable(base.model, FinetuneConfig()).eval()
    before, after = table.evaluate_both(LanguageModel(model, base.tokenizer, Decoding(4)), suites)
    for found in (before, after):  # a fresh adapter changes nothing
        assert table.metrics(found) == pytest.approx(table.metrics(alone), rel=1e-3)


YAML = """name: manners
scorer: contains
value: please
items:
  - {prompt: Ask for bread.}
  - {prompt: "Say hi.", scorer: regex, value: "(?i)^hi"}
  - {prompt: Repeat ab., scorer: exact, value: ab}
  - {prompt: Be brief., scorer: python, value: "tests.evals.test_suites:is_brief"}
"""


def is_brief(prompt, answer):
    return len(answer) < 10 and bool(prompt)


def test_an_own_suite_of_every_scorer_is_read_and_scored(tmp_path):
    (tmp_path / "m.yaml").write_text(YAML)
    (tmp_path / "facts_too.jsonl").write_text(
        '{"prompt": "Sky?", "scorer": "choice", "choices": ["blue", "red"]}\n'
        '{"prompt": "Good?", "scorer": "label", "labels": ["no", "yes"], "value": "yes"}\n'
    )
    manners, facts, spread = table.choose(HELD_OUT, f"{tmp_path / 'm.yaml'},{tmp_path / 'facts_too.jsonl'},spread")
    assert (manners.name, facts.name, spread.name) == ("manners", "facts_too", "spread")
    report = manners.score(manners.items, ["Bread, Please", "Hi arr", "“Ab.”", "far too long for that"])
    assert report.metrics() == {"accuracy": 0.75, "lexicon_rate": 0.25}
    assert facts.items[1].answers == ("yes", "no")
    assert metrics.changes({"manners/accuracy": flags([True] * 9)}, {"manners/accuracy": flags([False] * 9)})


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.yaml", YAML + "  - {prompt: X, scorer: exakt}\n", "a.yaml line 9: its scorer is 'exakt'; there are exact"),
        ("a.yaml", YAML + "  - {prompt: X, scorer: regex, value: '('}\n", "a.yaml line 9: its value '(' can't be used"),
        ("a.yaml", "name: [", "a.yaml line 1: it is not YAML"),
        ("a.yaml", "scorer: exact\nitems: []\n", "a.yaml: it has no items"),
        ("a.yaml", "name: facts\nscorer: exact\nvalue: a\nprompts: [b]\n", "the name facts is that of a bundled suite"),
        ("a.jsonl", '{"prompt": "a", "scorer": "choice", "choices": ["a"]}', "a.jsonl line 1: choice needs choices"),
        ("a.jsonl", '\n{"prompt": "a",', "a.jsonl line 2: it is not JSON"),
        ("a.jsonl", '{"prompt": "a", "scorer": "python", "value": "nowhere:f"}', "line 1: its value 'nowhere:f' can't"),
    ],
)
def test_a_fault_of_an_own_suite_is_one_line_with_file_and_line(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as caught:
        table.choose(HELD_OUT, str(tmp_path / name))
    assert problem in str(caught.value) and len(str(caught.value).splitlines()) == 1
