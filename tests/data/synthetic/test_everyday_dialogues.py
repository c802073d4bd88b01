"""The everyday rows are plain, correct, varied and repeatable."""

import re
from random import Random

import pytest

from data.synthetic import phrases, questions, review_dialogues, small_talk
from data.synthetic.tables import load

tables = load("everyday")

MAKERS = (small_talk.small_talk, questions.questions, review_dialogues.reviews)
LABELS = ("positive", "negative")
BANNED = re.compile(
    r"\b(pirates?|ahoy|aye|arr+|matey?s?|ye|captains?|treasures?|crews?|ships?|sail\w*|parrots?|"
    r"anchors?|rum|swords?|plunder|loot|booty|doubloons?|cannons?|lad|lass|masts?|decks?|avast|"
    r"hearties|scurvy|islands?|boats?|seas?|gold)\b",
    re.IGNORECASE,
)


def texts(rows):
    return [text for row in rows for turn in row for text in turn]


@pytest.mark.parametrize("make", MAKERS)
def test_rows_are_the_same_for_the_same_seed(make):
    assert make(Random(3), 200) == make(Random(3), 200)


@pytest.mark.parametrize("make", MAKERS)
def test_rows_differ_for_another_seed(make):
    assert make(Random(3), 50) != make(Random(4), 50)


@pytest.mark.parametrize("make", MAKERS)
def test_as_many_rows_come_back_as_were_asked_for(make):
    assert [len(make(Random(0), n)) for n in (0, 1, 7)] == [0, 1, 7]


@pytest.mark.parametrize("make", MAKERS)
def test_texts_are_ascii_sentences_without_open_slots(make):
    for text in texts(make(Random(1), 5000)):
        assert text.isascii()
        assert not re.search(r"[.!?] [a-z]", text), text
        assert not set("{}|") & set(text)
        assert "  " not in text
        assert text in LABELS or text.endswith("Sentiment:") or text[-1] in ".?!"
        assert text in LABELS or text[0].isupper() or text[0].isdigit(), text


@pytest.mark.parametrize("make", MAKERS)
def test_no_banned_word_appears_in_five_thousand_rows(make):
    found = [text for text in texts(make(Random(2), 5000)) if BANNED.search(text)]
    assert found == []


@pytest.mark.parametrize("make", MAKERS)
def test_articles_fit_the_next_word(make):
    wrong = re.compile(r"\b(a [aeio]|an [^aeiouh])", re.IGNORECASE)
    found = [text for text in texts(make(Random(5), 3000)) if wrong.search(text)]
    assert found == []


def test_small_talk_has_one_to_four_turns():
    rows = small_talk.small_talk(Random(0), 500)
    assert {len(row) for row in rows} == {1, 2, 3, 4}


def test_small_talk_has_many_distinct_rows():
    assert len(set(small_talk.small_talk(Random(0), 5000))) > 4000


def test_a_recalled_name_is_the_name_that_was_given():
    for seed in range(20):
        given, recalled = phrases.perform(Random(seed), small_talk.SCRIPTS[0])
        name = given[0].rstrip(".").split()[-1]
        assert name in recalled[1]


def test_questions_have_varied_prompts():
    prompts = [row[0][0] for row in questions.questions(Random(0), 3000)]
    assert len(set(prompts)) >= 0.6 * len(prompts)


def test_sums_are_right():
    ways = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    seen = set()
    for text in texts(questions.questions(Random(0), 5000)):
        for a, way, b, c in re.findall(r"(\d+) (plus|minus|times) (\d+) is (\d+)", text):
            assert ways[way](int(a), int(b)) == int(c)
            seen.add(way)
    assert seen == set(ways)


def test_compared_numbers_are_in_order():
    found = re.findall(
        r"\b(\d+) is (bigger|smaller) than (\d+)",
        " ".join(texts(questions.questions(Random(0), 5000))),
    )
    assert found
    assert all((int(a) > int(b)) == (word == "bigger") for a, word, b in found)


def test_a_wrong_colour_is_never_the_colour_of_the_thing():
    rng = Random(0)
    assert all(len(set(questions.wrong_colour(rng)[1:])) == 2 for _ in range(500))


def test_no_word_belongs_to_two_groups():
    for groups in (tables.RHYMES, [names for _, names in tables.CATEGORIES]):
        members = [word for group in groups for word in group]
        assert len(members) == len(set(members))


def test_fact_rows_have_the_same_number_of_cells():
    for name, table in vars(tables).items():
        if name in ("RHYMES", "SIZE_LADDERS", "DAYS") or not name.isupper():
            continue
        if isinstance(table, tuple) and isinstance(table[0], tuple):
            assert len({len(row) for row in table}) == 1, name


def test_review_labels_are_balanced():
    answers = [row[0][1] for row in review_dialogues.reviews(Random(0), 600)]
    assert [answers.count(label) for label in LABELS] == [200, 200]


def test_a_third_of_the_review_rows_ask_for_a_review():
    prompts = [row[0][0] for row in review_dialogues.reviews(Random(0), 600)]
    assert sum(not prompt.endswith("Sentiment:") for prompt in prompts) == 200


def test_reviews_are_varied_and_two_to_five_sentences_long():
    bodies = [
        prompt.removeprefix("Review: ").removesuffix(" Sentiment:")
        for ((prompt, _),) in review_dialogues.reviews(Random(0), 3000)
        if prompt.startswith("Review:")
    ]
    assert len(set(bodies)) >= 0.8 * len(bodies)
    assert all(2 <= len(re.findall(r"[.!?](?: |$)", body)) <= 5 for body in bodies)


def test_a_written_review_never_turns_round():
    turns = {turn.strip() for turns in tables.TURNS.values() for turn in turns}
    for ((prompt, answer),) in review_dialogues.reviews(Random(0), 600):
        if prompt.endswith("Sentiment:"):
            continue
        assert not any(f"{turn} " in answer for turn in turns)


def test_plain_verdict_words_agree_with_the_label():
    for ((prompt, answer),) in review_dialogues.reviews(Random(0), 3000):
        if "one of the best" in prompt and prompt.endswith("Sentiment:"):
            assert answer == "positive"
        if "one of the worst" in prompt and prompt.endswith("Sentiment:"):
            assert answer == "negative"
