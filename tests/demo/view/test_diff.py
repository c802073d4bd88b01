"""The word diff marks what differs and nothing else, escapes everything, and stays quick on answers that loop."""

import html
import random
import re
import time

import pytest

from demo.view import diff as word_diff
from demo.view.diff import marked, marked_all


def plain(markup):
    """The text a reader sees."""
    return html.unescape(re.sub(r"</?(ins|del)\b[^>]*>", "", markup))


def marks(markup, tag):
    return [html.unescape(run) for run in re.findall(rf'<{tag} class="parley-{tag}">(.*?)</{tag}>', markup, re.DOTALL)]


def test_words_of_one_side_alone_are_marked_on_that_side():
    diff = marked("Hello there, my friend", "Ahoy there, my old friend")
    assert marks(diff.first, "del") == ["Hello"]
    assert marks(diff.other, "ins") == ["Ahoy", "old"]
    assert diff.similarity == pytest.approx(6 / 9)


def test_a_run_of_different_words_is_one_mark_with_its_blanks():
    diff = marked("go to the big\nold house", "go home house")
    assert marks(diff.first, "del") == ["to the big\nold"]
    assert marks(diff.other, "ins") == ["home"]


@pytest.mark.parametrize(
    ("first", "other", "similarity"),
    [("", "", 1.0), ("arr", "", 0.0), ("same words", "same words", 1.0), ("!!", "!!", 1.0), ("!!", "??", 0.0)],
)
def test_similarity_of_the_ends_of_its_scale(first, other, similarity):
    assert marked(first, other).similarity == similarity


def test_blanks_alone_make_no_difference():
    diff = marked("one  two\n\nthree", "one two three")
    assert diff.similarity == 1.0
    assert (diff.first, diff.other) == ("one  two\n\nthree", "one two three")


def test_what_a_model_writes_never_becomes_markup():
    diff = marked('<script>alert("1")</script> a', "</ins><img src=x onerror='x'> a & b")
    for side in (diff.first, diff.other):
        assert set(re.findall(r"<[^>]*>", side)) <= {
            '<del class="parley-del">',
            "</del>",
            '<ins class="parley-ins">',
            "</ins>",
        }


def test_accents_joined_emoji_and_apostrophes_stay_whole_and_signs_are_compared_one_by_one():
    diff = marked("e\u0301t\u0301e don't 👩\u200d👩\u200d👧 日本語", "x don\u2019t 👩\u200d👩\u200d👧 日本人")
    assert marks(diff.first, "del") == ["e\u0301t\u0301e don't", "語"]
    assert marks(diff.other, "ins") == ["x don\u2019t", "人"]


def test_every_text_is_shown_as_it_is_whatever_was_marked():
    draw = random.Random(4)
    signs = "ab c.\n'<&>—é日\u200d\t"
    for _ in range(500):
        one, two = ("".join(draw.choices(signs, k=draw.randrange(30))) for _ in range(2))
        diff = marked(one, two)
        assert (plain(diff.first), plain(diff.other)) == (one, two)
        assert 0 <= diff.similarity <= 1


def test_what_can_not_be_shown_is_replaced_and_lines_end_the_same_way():
    assert marked("a\x00b\ud800 c\r\nd", "").first == '<del class="parley-del">a\ufffdb\ufffd c\nd</del>'


def test_of_several_answers_the_first_is_marked_where_nobody_kept_it():
    first, second, third = marked_all(["the cat sat", "the dog sat", "a cat sat down"])
    assert marks(first, "del") == []
    assert marks(second, "ins") == ["dog"]
    assert marks(third, "ins") == ["a", "down"]
    assert marks(marked_all(["the cat", "a dog", "a cow"])[0], "del") == ["the cat"]
    assert marked_all(["<b>"]) == ("&lt;b&gt;",) and marked_all([]) == ()


def longest(one, two):
    """Length of the longest common subsequence, by the table from the textbook."""
    table = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(two):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_repetitive_answers_are_compared_by_a_longest_common_subsequence(monkeypatch):
    monkeypatch.setattr(word_diff, "REPETITIVE", -1)
    draw = random.Random(1)
    for _ in range(400):
        one, two = (draw.choices(signs, k=draw.randrange(12)) for signs in ("abc", "abcd"))
        pairs = list(word_diff._pairs(one, two))
        assert all(one[i] == two[j] for i, j in pairs)
        assert all(a < b and c < d for (a, c), (b, d) in zip(pairs, pairs[1:], strict=False))
        assert len(pairs) == longest(one, two)


@pytest.mark.parametrize("words", [1, 2, 4, 20, 200])
def test_300_words_take_a_few_thousandths_of_a_second_even_where_they_repeat(words):
    draw = random.Random(words)
    one, two = (" ".join(f"w{draw.randrange(words)}" for _ in range(300)) for _ in range(2))
    looping = ("arr " * 300, "arr ! " * 150)
    times_s = []
    for pair in ((one, two), looping) * 5:
        began_s = time.thread_time()
        marked(*pair)
        times_s.append(time.thread_time() - began_s)
    # some 3 ms on a slow core; SequenceMatcher alone takes 400 ms for the looping pair
    assert min(times_s[::2]) < 0.02 and min(times_s[1::2]) < 0.02
