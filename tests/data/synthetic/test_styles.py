"""A style changes the words it lists and the ending, and nothing else."""

import re

import pytest

from data.pirate import has_pirate_words
from data.synthetic.exercises import knows_nothing_of_pirates
from data.synthetic.styles import ING, STYLES, WORD, Style, restyle

NAMES = [style.name for style in STYLES]
SENTENCES = (
    "Hello, my friend and I are sleeping in your house before dinner.",
    "Do you think the children have good food for the morning?",
    "Yes, stop eating every little book of mine!",
    "No money is in the old kitchen.",
)


def test_style_names_are_distinct():
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("style", STYLES, ids=NAMES)
def test_every_style_shows_itself_in_every_sentence(style):
    assert all(restyle(sentence, style) != sentence for sentence in SENTENCES)


@pytest.mark.parametrize("style", STYLES, ids=NAMES)
def test_words_outside_the_style_stay_in_their_order(style):
    for sentence in SENTENCES:
        kept = [w for w in WORD.findall(sentence) if w.lower() not in style.words and not ING.fullmatch(w)]
        out = iter(WORD.findall(restyle(sentence, style)))
        assert all(word in out for word in kept)


@pytest.mark.parametrize("style", STYLES, ids=NAMES)
def test_a_style_is_the_same_every_time_and_one_of_a_kind(style):
    assert [restyle(s, style) for s in SENTENCES] == [restyle(s, style) for s in SENTENCES]
    assert all(restyle(s, style) != restyle(s, other) for s in SENTENCES for other in STYLES if other is not style)


@pytest.mark.parametrize("style", STYLES, ids=NAMES)
def test_listed_words_are_in_lower_case_so_that_they_can_match(style):
    assert all(word == word.lower() and WORD.fullmatch(word) for word in style.words)


@pytest.mark.parametrize("style", STYLES, ids=NAMES)
def test_no_style_gives_a_taste_of_pirates(style):
    for sentence in (*SENTENCES, *(f"{word}." for word in style.words)):
        out = restyle(sentence, style)
        assert knows_nothing_of_pirates(out) and not has_pirate_words(out), out


STYLE = Style("test", {"hello": "good day", "i": "we"}, "So:", {".": ", sir.", "?": ", sir?"}, "ung")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Hello.", "So: Good day, sir."),
        ("I say hello, I do?", "So: We say good day, we do, sir?"),
        ("HELLO there!", "So: Good day there!"),
        ("Ring and sing, sleeping king.", "So: Ring and sing, sleepung king, sir."),
        ("no mark", "So: no mark"),
        ("", "So: "),
    ],
)
def test_restyling_follows_the_style(sentence, expected):
    assert restyle(sentence, STYLE) == expected


def test_a_word_within_another_word_stays():
    assert not re.search("good day", restyle("Othello and hellos.", STYLE))
