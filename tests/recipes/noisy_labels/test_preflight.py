"""What would go wrong, or show nothing, is said before anything is spent."""

import math
import random

import pytest

from data.corruption import Noise, corrupt
from data.errors import ConfigError, DataError
from data.labelled import ANSWERS, SENTIMENTS, LabelledRow, QuestionRow
from data.prompts import QUESTION, REVIEW, conversation
from evals import power
from openai_jobs import prices
from recipes.noisy_labels.preflight import Plan, check, estimated_tokens


def rows(labels, mark="train", text="a quiet film about {i}"):
    return [
        LabelledRow(f"{mark} {text.replace('{i}', str(i))}", label, f"{mark}-{i}", i, f"{mark} row {i + 1}")
        for i, label in enumerate(labels)
    ]


def mixed(n, seed=0):
    labels = [0, 1] * (n // 2)
    random.Random(seed).shuffle(labels)
    return labels


def clean(found):
    return corrupt(found, Noise(rate=0.0))


TRAIN, TEST = rows(mixed(200)), rows(mixed(100, 1), "test")
PLAN = Plan(REVIEW)


def errors(train=TRAIN, test=TEST, plan=PLAN):
    return check(clean(train), test, SENTIMENTS, plan).errors


def warnings(train, test=TEST):
    return check(train, test, SENTIMENTS, PLAN).warnings


def test_good_rows_pass_with_facts_alone():
    found = check(clean(TRAIN), TEST, SENTIMENTS, PLAN)
    assert (found.errors, found.warnings) == ([], [])
    assert len(found.facts) == 2 and found.lines() == found.facts
    assert found.numbers["label_information"] == 1.0 and found.numbers["label_bits"] == pytest.approx(1.0)
    found.require()


@pytest.mark.parametrize("which", ["training", "test"])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_an_error(which, label):
    same = rows([label] * 60, "one")
    (line,) = errors(train=same) if which == "training" else errors(test=same)
    assert line.startswith(
        f"all 60 {which} rows have the label {SENTIMENTS[label]}: a model that always answers so scores"
    )


@pytest.mark.parametrize("labels", [[0] * 50 + [1] * 50, [1] * 95 + [0] * 5, ([0] * 25 + [1] * 25) * 2])
def test_rows_sorted_by_label_are_an_error(labels):
    (line,) = errors(test=rows(labels, "sorted"))
    assert line.startswith("the test rows are sorted by label (the first")


def test_mixed_rows_are_not_taken_for_sorted_with_any_seed():
    assert [seed for seed in range(300) if errors(test=rows(mixed(40, seed), "test"))] == []


def test_test_rows_that_are_trained_on_are_an_error():
    (line,) = errors(test=[*TEST, LabelledRow("Train a quiet film about 7!", 1, "test-x", 100, "test row 101")])
    assert line.startswith("1 test rows are trained on (the first: test row 101 is train row 8)")


def test_copies_and_contradictions_are_warnings():
    again = [
        *TRAIN,
        LabelledRow(TRAIN[0].text, TRAIN[0].label, "x", 200),
        LabelledRow(TRAIN[1].text, 1 - TRAIN[1].label, "y", 201),
    ]
    assert warnings(clean(again)) == [
        "1 training rows repeat another one's text", "2 training rows have a text that occurs with both labels"
    ]  # fmt: skip


def test_rows_too_long_are_an_error_that_names_the_longest():
    long = [*TRAIN[:-1], LabelledRow("word " * 300, 1, "x", 199, "train row 200")]
    (line,) = errors(train=long, plan=Plan(REVIEW, lambda row: len(row.prompt.split()), max_tokens=256))
    assert line.startswith("1 rows are longer than max_length=256 tokens (the longest: 302, train row 200)")
    assert errors(train=long, plan=Plan(REVIEW, lambda row: 10**6)) == []


def test_special_tokens_in_a_text_are_an_error():
    (line,) = errors(train=[*TRAIN, LabelledRow("bad <|endoftext|> film", 1, "x", 200, "train row 201")])
    assert line.startswith("1 rows hold a special token in their text (the first: <|endoftext|> in train row 201)")
    (line,) = errors(plan=Plan(REVIEW, special_tokens=("quiet",)))
    assert line.startswith("300 rows hold a special token")


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        (Noise(rate=0.5), "the labels carry almost no information"),
        (Noise(rate=0.48), "the labels carry almost no information"),
        (Noise(rate=0.9), "the labels are wrong more often than right (1 - 2 rate = -0.8"),
        (Noise("longest_first", 0.5), "the labels carry almost no information"),
    ],
)
def test_a_rate_at_which_labels_say_nothing_is_a_warning(noise, said):
    (line,) = warnings(corrupt(rows(mixed(2000)), noise))
    assert line.startswith(said)


@pytest.mark.parametrize("noise", [Noise(rate=0.3), Noise("one_sided", 0.8), Noise("trigger", 1.0, word="7")])
def test_rates_at_which_labels_still_say_something_are_no_warning(noise):
    assert warnings(corrupt(rows(mixed(2000)), noise)) == []


def test_the_information_of_symmetric_labels_is_that_of_a_noisy_channel():
    found = check(corrupt(rows(mixed(20_000)), Noise(rate=0.2)), TEST, SENTIMENTS, PLAN).numbers
    entropy = -(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8))
    assert found["label_information"] == pytest.approx(1 - 2 * found["flipped_share"], abs=0.001)
    assert found["label_bits"] == pytest.approx(1 - entropy, abs=0.02)


def test_one_sided_noise_that_leaves_one_class_is_an_error():
    found = check(corrupt(TRAIN, Noise("one_sided", 1.0)), TEST, SENTIMENTS, PLAN)
    assert found.errors[0].startswith("all 200 training rows have the label negative")
    with pytest.raises(DataError, match="all 200 training rows"):
        found.require()
    assert found.lines()[0].startswith("Error: all 200")


def test_an_unbalanced_test_is_a_warning_with_what_a_constant_scores():
    labels = [0] * 30 + [1] * 70
    random.Random(0).shuffle(labels)
    (line,) = warnings(clean(TRAIN), rows(labels, "test"))
    assert line == "70 of 100 test rows are positive: a model that always answers so scores 0.70"


def test_questions_need_no_second_class():
    asked = [QuestionRow(f"why {i}?", "So", ("So",), ("No",), f"q-{i}", i) for i in range(40)]
    found = check(corrupt(asked[:30], Noise("best_swapped", 0.0)), asked[30:], ANSWERS, Plan(QUESTION))
    assert (found.errors, found.warnings) == ([], [])


def test_no_rows_are_an_error():
    assert errors(test=[]) == ["there are no test rows"]


def test_tokens_and_cost_are_those_of_the_table():
    price = prices.Price("m", 8.0, 3.0, 6.0, "USD", 1_000_000, "2026-04")
    found = check(clean(TRAIN), TEST, SENTIMENTS, Plan(REVIEW, lambda row: 100, epochs=3, price=price))
    assert found.facts[0] == "60,000 training tokens (20,000 x 3 epochs), 20,000 for 2 evaluations"
    assert (found.numbers["train_tokens"], found.numbers["test_tokens"]) == (60_000, 20_000)
    assert found.numbers["cost"] == pytest.approx((8 * 60_000 + 3 * 20_000 + 6 * 200) / 1e6)
    assert found.facts[1].startswith("0.54 USD (0.48 training, 0.06 evaluations) by the prices of 2026-04 for m")
    assert check(clean(TRAIN), TEST, SENTIMENTS, PLAN).facts[0].startswith("about ")


def test_tokens_are_estimated_from_characters_where_nothing_counts_them():
    row = conversation(LabelledRow("x" * 400, 1, "r", 0), SENTIMENTS, REVIEW)
    assert 110 < estimated_tokens(row) < 140


def test_the_bundled_price_table_is_dated_and_finds_models_by_their_names():
    found = prices.find("gpt-4o-mini-2024-07-18")
    assert found and (found.model, found.train, found.as_of[:2]) == ("gpt-4o-mini", 3.0, "20")
    tuned = prices.find("ft:gpt-3.5-turbo-0125:org::abc")
    assert tuned and tuned.model == "gpt-3.5-turbo"
    assert prices.find("gpt-4.10") is None and prices.find("bundled") is None


def test_a_table_of_one_s_own_is_taken_and_a_broken_one_refused(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(
        '{"as_of": "today", "currency": "EUR", "tokens": 1000, "models": {"x": {"train": 1, "input": 2, "output": 3}}}'
    )
    found = prices.find("x-large", str(path))
    assert found == prices.Price("x", 1.0, 2.0, 3.0, "EUR", 1000, "today")
    for broken in ("", "[]", "{}", path.read_text().replace("1,", "-1,", 1), path.read_text().replace("1000", "0")):
        path.write_text(broken)
        with pytest.raises(ConfigError, match="prices=.*mine.json"):
            prices.find("x", str(path))


# The smallest effect


@pytest.mark.parametrize(("p", "q", "n"), [(0.85, 0.75, 250), (0.6, 0.5, 388), (0.9, 0.8, 199)])
def test_the_independent_difference_is_that_of_the_tables(p, q, n):
    """n per group by Fleiss for 80 % power at the 5 % level, two-sided, without the correction for continuity."""
    assert power.independent_difference(n, p) == pytest.approx(p - q, abs=0.0005)


def test_the_paired_difference_solves_connor_s_formula():
    found = power.paired_difference(200, 0.2)
    assert found is not None
    needed = ((1.959964 * math.sqrt(0.2) + 0.841621 * math.sqrt(0.2 - found**2)) / found) ** 2
    assert needed == pytest.approx(200, rel=1e-4)


def test_mcnemar_finds_the_paired_difference_in_about_80_of_100_trials():
    n, discordant = 400, 0.2
    effect = power.paired_difference(n, discordant)
    assert effect is not None
    rng, found = random.Random(0), 0
    for _ in range(1000):
        draws = [rng.random() for _ in range(n)]
        better = sum(d < (discordant + effect) / 2 for d in draws)
        worse = sum((discordant + effect) / 2 <= d < discordant for d in draws)
        found += abs(better - worse) / math.sqrt(max(better + worse, 1)) > 1.959964
    assert 0.76 < found / 1000 < 0.84


def test_more_rows_show_smaller_effects_and_few_show_none():
    for smallest in (power.paired_difference, power.independent_difference, power.accuracy_above_chance):
        shown = [smallest(n) for n in (50, 100, 1000, 10_000)]
        assert all(a and b and a > b for a, b in zip(shown, shown[1:], strict=False))
        assert smallest(0) is None and smallest(1) is None
    assert power.paired_difference(20) is None
    assert power.accuracy_above_chance(100) == pytest.approx(0.638, abs=0.001)
