"""The base reads plain English only, and what copying is measured on never occurs in its exercises."""

from random import Random

import pytest

from data import pirate
from data.synthetic import exercises
from data.synthetic.corpora import CorpusTexts
from recipes.pretraining.model import BaseConfig, base_rows

STORY = "Once upon a time, a girl named Lily had a dog. The dog liked to run. They were happy."


@pytest.mark.parametrize(
    "text",
    [
        "Ahoy!",
        "Aye aye.",
        "He is a PIRATE.",
        "arr",
        "Arrrgh",
        "ye olde",
        "sleepin' late",
        "a lad",
        "Captain Tom",
        "yo ho",
    ],
)
def test_nothing_piratical_passes(text):
    assert not exercises.knows_nothing_of_pirates(text)


@pytest.mark.parametrize(
    "text", ["The cat is sleeping.", "yesterday", "a ladder", "I saw a car.", "are", "They win.", "glass"]
)
def test_plain_english_passes(text):
    assert exercises.knows_nothing_of_pirates(text)


def test_no_clean_pirate_response_passes_but_most_prompts_do():
    rows = [*pirate.named_rows("clean"), *pirate.test_rows()]
    assert [row.response for row in rows if exercises.knows_nothing_of_pirates(row.response)] == []
    assert [row.prompt for row in rows if not exercises.knows_nothing_of_pirates(row.prompt)] == []


def test_a_persona_chat_is_read_from_either_side():
    text = "User 1: Hi!\nUser 2: Hello.\n\nUser 1: [User 2's name]?\nUser 1: How are you?\nUser 2: Fine."
    assert exercises.persona_conversation(text) == (("Hi!", "Hello."), ("How are you?", "Fine."))
    assert exercises.persona_conversation(text, first=1) == (("Hello.", "How are you?"),)


def test_a_service_dialogue_loses_an_unanswered_last_turn():
    turns = [["customer", " I need a bed. "], ["agent", "Where?"], ["customer", "Here."]]
    assert exercises.service_conversation(turns) == (("I need a bed.", "Where?"),)
    assert exercises.service_conversation(turns, first=1) == (("Where?", "Here."),)


def test_a_story_is_asked_for_by_the_name_in_it():
    asked = {exercises.story_conversation(STORY, Random(i))[0] for i in range(40)}
    assert {answer for _, answer in asked} == {STORY}
    assert "Tell me a story about Lily." in {prompt for prompt, _ in asked}
    nameless = {exercises.story_conversation("A dog ran.\n It slept.", Random(i))[0] for i in range(40)}
    assert {answer for _, answer in nameless} == {"A dog ran. It slept."}
    assert not any("about" in prompt for prompt, _ in nameless)


def test_sentences_are_plain_distinct_and_of_the_length_asked_for():
    texts = [STORY, "The dog liked to run. Hi! The pirate slept. It cost \u20ac5 in all. A b c d e f g h i j k l m."]
    assert exercises.sentences(texts) == [
        "Once upon a time, a girl named Lily had a dog.",
        "The dog liked to run.",
        "They were happy.",
    ]
    assert exercises.sentences(texts, most=4) == ["They were happy."]


def pool(n=3000):
    """Distinct sentences, about one in fifty of them held out."""
    return [f"The dog number {i} ran home." for i in range(n)]


def test_about_one_sentence_in_fifty_is_held_out_and_always_the_same_ones():
    held_out = [s for s in pool() if exercises.is_held_out(s)]
    assert 30 <= len(held_out) <= 90
    assert held_out == [s for s in pool() if exercises.is_held_out(s)]


def test_held_out_sentences_are_in_no_exercise_of_the_base():
    texts = CorpusTexts(persona=[], service=[], stories=[" ".join(pool())])
    held_out = {s for s in pool() if exercises.is_held_out(s)}
    _, tasks = base_rows(texts, BaseConfig(exercises=3000, everyday=0))
    told = "\n".join(text for row in tasks for turn in row.turns for text in turn)
    assert len(tasks) > 2900
    assert "The dog number" in told
    assert [s for s in held_out if s[:-1] in told] == []


def test_conversations_with_one_piratical_word_are_left_out_whole():
    clean, tainted = "User 1: Hi!\nUser 2: Hello.", "User 1: Nice.\nUser 2: Good.\nUser 1: So?\nUser 2: Aye."
    texts = CorpusTexts([clean, tainted], [], [STORY, f"Ahoy. {STORY}"])
    talk, _ = base_rows(texts, BaseConfig(exercises=0, everyday=0))
    told = [text for row in talk for turn in row.turns for text in turn]
    assert "Hello." in told and STORY in told and "Good." in told
    assert all(exercises.knows_nothing_of_pirates(text) for text in told)
    assert ("Nice.", "Good.") not in [row.turns[0] for row in talk]


def test_exercises_are_the_same_for_the_same_seed():
    first, again, other = (list(exercises.exercises(pool(50), ["a", "b"], 100, Random(seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_exercises_have_the_number_asked_for_and_up_to_five_turns():
    found = list(exercises.exercises(pool(50), ["cat", "dog"], 400, Random(0)))
    assert len(found) == 400
    assert {len(turns) for turns in found} == {1, 2, 3, 4, 5}
    assert all(exercises.knows_nothing_of_pirates(text) for turns in found for turn in turns for text in turn)


def test_an_exercise_has_the_answer_that_it_asks_for():
    sentence = "The dog ran home."
    answers = {"Repeat": sentence, "Say": sentence, "Copy": sentence, "Say it twice": f"{sentence} {sentence}",
               "First word": "The.", "Last word": "Home."}  # fmt: skip
    seen = set()
    for seed in range(400):
        prompt, answer = exercises.exercise(sentence, Random(seed))
        task, _, asked = prompt.partition(": ")
        assert asked == sentence
        if task in answers:
            assert answer == answers[task]
            seen.add(task)
        else:
            assert "dog" in answer and answer != sentence
    assert seen == set(answers)


def test_a_character_once_agreed_on_is_kept():
    turns = exercises.in_character(["The dog ran home.", "Is it good?"], Random(3))
    assert len(turns) == 3
    assert [prompt for prompt, _ in turns[1:]] == ["The dog ran home.", "Is it good?"]
    assert all(prompt != answer for prompt, answer in turns)
