"""Each metric against cases worked out by hand."""

import unicodedata

import pytest

from evals import text_metrics
from evals.repetition import is_loop, repeats
from evals.text_metrics import (
    chrf,
    content_rate,
    content_words,
    copy_rate,
    distinct_2,
    is_echo,
    length_ratio,
)
from evals.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("... !?", []),
        ("The Ship's 3 masts", ["the", "ship's", "3", "masts"]),
        ("I\u2019m drinkin\u2019 o' rum", ["i'm", "drinkin'", "o'", "rum"]),
        ("'Tis well-known", ["tis", "well", "known"]),
        ("Caf\u00e9 \u00c9cole na\u00efve", ["caf\u00e9", "\u00e9cole", "na\u00efve"]),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
            ["\u043f\u0440\u0438\u0432\u0435\u0442", "\u043c\u0438\u0440"],
        ),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_words_are_runs_of_letters_digits_and_apostrophes_of_any_language(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("नानी ने नीला दुपट्टा बुना।", ["नानी", "ने", "नीला", "दुपट्टा", "बुना"]),
        ("ক্ষমা, র\u200d্যাব", ["ক্ষমা", "র\u200d্যাব"]),
        ("مرحباً بِالعالم؟", ["مرحباً", "بِالعالم"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        (unicodedata.normalize("NFD", "한국어 학교"), ["한국어", "학교"]),
        (unicodedata.normalize("NFD", "Tiếng Việt"), ["tiếng", "việt"]),
        ("我们去海边。", ["我", "们", "去", "海", "边"]),
        ("ดีครับ", ["ดี", "ค", "รั", "บ"]),
        ("Arr 🏴\u200d☠️👍🏽🇩🇪!", ["arr", "🏴\u200d☠️", "👍🏽", "🇩🇪"]),
    ],
)
def test_words_keep_combining_marks_and_each_grapheme_is_one_where_no_spaces_are_written(text, expected):
    assert words(text) == [unicodedata.normalize("NFC", word) for word in expected]


GOOD = {
    "Hindi": ("नानी कहाँ है?", "नानी बाज़ार में है, मेरे दोस्त।"),
    "Bengali": ("বাবা কোথায়?", "বাবা বাজারে আছেন, বন্ধু।"),
    "Thai": ("แม่อยู่ที่ไหน", "แม่อยู่ที่ตลาดนะครับ"),
    "Arabic": ("أين القِطّة؟", "القِطّة في البيت يا صديقي."),
    "Hebrew": ("איפה הַכֶּלֶב?", "הַכֶּלֶב בבית, חבר."),
    "Chinese": ("图书馆在哪里？", "图书馆在火车站旁边，哈哈哈。"),
    "Korean": ("학교는 어디에 있어요?", "학교는 시장 옆에 있어요, 친구."),
    "emoji": ("🍎 or 🍌?", "🍎 🎉🎉🎉"),
}


@pytest.mark.parametrize("script", GOOD)
def test_a_good_answer_of_every_script_is_no_loop_and_no_echo_and_keeps_its_content_in_either_form(script):
    prompt, reference = GOOD[script]
    answer = unicodedata.normalize("NFD", reference)
    assert not is_loop(answer) and not is_echo(prompt, reference, answer)
    assert content_rate([prompt], [reference], [answer]) == 1.0
    assert content_rate([prompt], [reference], ["xyz"]) == 0.0
    assert chrf([reference], [answer]) == pytest.approx(100)
    assert copy_rate(["x"], [answer], [reference]) == 1.0 and length_ratio([reference], [answer]) == 1.0
    assert is_echo(prompt, reference, f"{unicodedata.normalize('NFD', prompt)} 1")


@pytest.mark.parametrize("script", GOOD)
def test_an_answer_of_every_script_that_repeats_itself_is_a_loop(script):
    assert is_loop(f"{GOOD[script][1]} " * 3) and is_loop(f"1 {GOOD[script][1].split()[0]}" * 9)


def test_a_curly_apostrophe_is_as_good_as_a_straight_one():
    assert words("Don\u2019t") == words("don't") == ["don't"]


def test_content_words_are_what_the_reference_took_over_from_the_prompt():
    assert content_words("Where is the big red boat?", "Where be the big boat, arr?") == {"big", "boat"}
    assert content_words("Where is it?", "Where be it?") == set()


def test_content_rate_is_the_f1_of_due_words_over_all_rows():
    prompts = ["Where is the big red boat?", "I like rum."]
    references = ["Where be the big boat?", "I be likin' rum, I like it."]
    assert content_rate(prompts, references, ["The boat!", "Rum!"]) == 2 * 2 / (4 + 2)
    assert content_rate(prompts, references, references) == 1.0
    assert content_rate(prompts, references, ["", ""]) == 0.0


BOAT = ("Where is the big red boat of my father?", "Where be the big red boat o' me father, matey?")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Where be the big red boat o' me father, matey?", 1.0),
        ("Arr, where be the big red boat o' yer father, lad?", 1.0),
        ("Where be the red boat o' me father, matey?", 2 * 3 / (4 + 3)),
        ("father me o' boat red big the be where, matey?", 2 * 1 / (4 + 4)),
        ("Where be the big blue boat o' me sister, matey?", 2 * 2 / (4 + 4)),
        ("big big big red red red boat boat boat father", 2 * 4 / (4 + 10)),
        ("big xqzzk red wvvkl boat prrtq father", 2 * 4 / (4 + 7)),
        ("Where be the big red boat o' me father not, matey?", 0.0),
        ("The big red boat o' me father ain't here.", 0.0),
        ("The big red boat o' me father isn't here.", 0.0),
        ("", 0.0),
    ],
)
def test_content_minds_the_order_strange_words_and_negation(answer, expected):
    assert content_rate([BOAT[0]], [BOAT[1]], [answer]) == pytest.approx(expected)


def test_a_lost_negation_loses_the_content_and_a_kept_one_does_not():
    prompt, reference = "I do not like cold soup.", "I don't like cold soup, arr!"
    assert content_rate([prompt], [reference], ["I like cold soup, arr!"]) == 0.0
    assert content_rate([prompt], [reference], ["I ne'er like cold soup, arr!"]) == 1.0
    freely = "Remember the soup!"
    assert content_rate(["Don't forget the soup!"], [freely], [freely]) == 1.0


def test_content_rate_is_not_defined_where_references_take_over_nothing():
    assert content_rate(["Hello!"], ["Ahoy!"], ["Ahoy!"]) is None
    assert content_rate(["What is it?"], ["It is what?"], ["It"]) is None


@pytest.mark.parametrize(
    ("prompt", "reference", "answer", "expected"),
    [
        ("Where are you?", "Where be ye?", "Where are you?", True),
        ("Where are you?", "Where be ye?", "where are YOU", True),
        ("Where are you?", "Where be ye?", "Arr! Where are you, matey?", True),
        ("Where are you?", "Where be ye?", "Where be you?", False),
        ("Where are you?", "Where be ye?", "", False),
        ("Where are you?", "Where are you?", "Where are you?", False),
        ("Hi.", "Hi, matey.", "Hi, friend.", False),
        ("here", "Arr", "there", False),
        ("?!", "Arr", "Arr", False),
        ("I\u2019m fine", "I be fine", "I'm fine", True),
        ("I don't know", "I know nay", "I don`t know", True),
        ("I don't know", "I know nay", "I don\u00b4t know, arr", True),
        ("Où est le café, René?", "Arr", unicodedata.normalize("NFD", "Où est le café, René?"), True),
        ("Is the o\ufb03ce open?", "Be it?", "Is the office open?", True),
    ],
)
def test_an_echo_holds_the_prompt_word_for_word_and_the_reference_does_not(prompt, reference, answer, expected):
    assert is_echo(prompt, reference, answer) is expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("The dog is sleeping on your chair.", True),  # another word
        ("Arr, the cat is sleeping on my chair, matey!", True),
        ("The cat is on sleeping your chair.", True),  # two change places
        ("The cat is sleeping on chair.", True),  # one is missing
        ("The big cat is sleeping on your chair.", True),  # one is new
        ("The cat be sleepin' on yer chair, arr!", False),
        ("The cat be sleeping on your chair, arr!", False),  # on its way to the reference
        ("The cat is sleepin' on your chair, arr!", False),
        ("The dog was sleeping on my bed.", False),
    ],
)
def test_an_echo_of_five_words_or_more_may_have_one_word_changed(answer, expected):
    assert is_echo("The cat is sleeping on your chair.", "The cat be sleepin' on yer chair, arr!", answer) is expected


def test_an_answer_near_its_prompt_is_no_echo_where_its_reference_is_too():
    prompt, reference = "My bus leaves in ten minutes.", "Me bus leaves in ten minutes, arr!"
    assert not is_echo(prompt, reference, reference) and not is_echo(prompt, reference, "Me bus leaves in ten minutes.")
    assert is_echo(prompt, reference, "My car leaves in ten minutes.")


LOOPS = (
    "arrarrarr",
    "Arrarrarrarr, matey!",
    "arr'arr'arr",
    "lolololololol",
    "matey" * 3,
    "好的好的好的",
    "我爱你我爱你我爱你",
    "我们去海边吧我们去海边吧我们去海边吧",
    "是" * 6,
    "ครับครับครับ",
    "🦜🦜🦜🦜🦜🦜",
    "🏴\u200d☠️" * 10,
    "🎉🥳🎉🥳🎉🥳",
    "!" * 12,
    "Arr" + "?!" * 6,
    "." * 30,
    "1. arr 2. arr",
    "1. arr\n2. arr\n3. arr",
    "a) the sea b) the sea",
    "- arr\n- arr\n- arr",
    "arr arr arr",
    "Ha " * 12,
    "no no no no no",
    "a" * 40,
)


@pytest.mark.parametrize("text", LOOPS)
def test_letters_signs_marks_and_items_that_repeat_are_a_loop(text):
    assert is_loop(text) and is_loop(f"Well then. {text}") == (not text[:2].isalnum() or text[1] != ")")


@pytest.mark.parametrize(
    "text",
    [
        "Ha ha ha", "Ha ha ha ha!", "Ho, ho, ho!", "hahahaha", "jajajaja, no", "哈哈哈哈哈", "ㅋㅋㅋㅋ", "хахаха",
        "No, no, no!", "Very, very, very good.", "Yo ho ho", "Arrrrrrrr!", "Noooooooo!", "So tired... Well...",
        "What?!?!", "!!!", "🎉🎉🎉", "😂😂😂😂", "谢谢谢谢", "对对对", "1. arr 2. aye", "1. Yes 2. No 3. Yes",
        "1. the sea\n2. the sand\n3. the sun", "In 1999, 1,000,000 came.", "100000000000", "----------------",
        "| a | b |\n|---|---|---|---|", "Mississippi banana", "Tick tock, tick tock.", "https://www.example.org",
        "Lamps, lamps, lamps! Ye walk in one door an' there be a lamp, ye walk out another, arr!",
        "x = [[0, 0, 0], [0, 0, 0]]", "It was on and on and on.", "1 2 3 4 5 6 7 8 9 10 11 12",
    ],
)  # fmt: skip
def test_laughter_emphasis_lines_and_lists_are_no_loop(text):
    assert not is_loop(text)


def test_an_answer_said_twice_repeats_itself_where_its_reference_does_not():
    once = "The cat be sleepin' on yer chair, arr!"
    assert repeats(once, f"{once} {once}") and not is_loop(f"{once} {once}")
    assert not repeats(f"{once} {once}", f"{once} {once}") and not repeats(once, once)
    assert not repeats("Bye!", "Bye bye, bye bye.") and not repeats("arr " * 5, "arr " * 5)


@pytest.mark.parametrize("n", range(1, 9))
def test_one_to_eight_words_three_times_in_a_row_are_a_loop(n):
    part = [f"w{i}" for i in range(n)]
    assert is_loop(" ".join(["so", *part * 3, "end"]))
    assert not is_loop(" ".join(["so", *part * 2, "end"]))


def test_nine_words_three_times_are_found_by_their_trigrams():
    part = [f"w{i}" for i in range(9)]
    assert is_loop(" ".join(part * 3))
    assert not is_loop(" ".join(part * 2))


@pytest.mark.parametrize("text", ["", "arr", "arr arr", "The quick brown fox jumps over the lazy dog today."])
def test_plain_answers_are_no_loop(text):
    assert not is_loop(text)


def test_many_trigrams_of_which_less_than_half_are_distinct_are_a_loop():
    text = "a b c a b c x a b c y a b c z a b c"
    found = words(text)
    trigrams = [tuple(found[i : i + 3]) for i in range(len(found) - 2)]
    assert len(set(trigrams)) > len(trigrams) / 2 and not is_loop(text)
    assert is_loop("a b c d a b c e a b c d a b c e a b c d a b c d")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [([], 0.0), ([""], 0.0), (["one"], 0.0), (["a b a b"], 2 / 3), (["a b", "A B!"], 1 / 2), (["a b", "b c"], 1.0)],
)
def test_distinct_2_is_the_share_of_word_pairs_that_differ(answers, expected):
    assert distinct_2(answers) == expected


def test_pairs_do_not_reach_from_one_answer_into_the_next():
    assert distinct_2(["a b", "c d"]) == 1.0 and distinct_2(["a", "b"]) == 0.0


def test_statistics_of_distinct_2_have_its_value_and_each_answer_the_weight_that_the_jackknife_gives_it():
    texts = ["a b c", "b c d", "", "e f", "a b a b", "f e f e"]
    rows = text_metrics.distinct_2_statistics(texts)
    value, (common, _), pairs = distinct_2(texts), rows[2], rows[:, 1].sum()
    assert rows[:, 0].sum() / pairs == pytest.approx(value)
    for i, (own, its_pairs) in enumerate(rows):
        without = distinct_2(texts[:i] + texts[i + 1 :])
        assert value - without == pytest.approx((own - common - value * its_pairs) / (pairs - its_pairs))


def test_a_copy_is_a_training_response_that_was_not_asked_for():
    trained = ["Arr, the sea!", "Aye.", "Ahoy there."]
    answers = ["arr the sea", "Aye!", "Something new", "Ahoy there, matey."]
    assert copy_rate(["x", "Aye.", "x", "x"], answers, trained) == 1 / 4
    assert copy_rate(["x"] * 4, answers, trained) == 2 / 4
    assert copy_rate(["x"] * 4, answers, []) == 0.0


def test_a_copy_of_five_words_or_more_may_differ_a_little_if_the_own_reference_is_not_as_near():
    trained, own = ["The cat be sleepin' on yer chair, arr!"], "The dog be runnin' o'er the hill, arr!"
    for answer in ("The cat be sleepin' on yer chair, matey!", "Arr, the cat be sleepin' on yer chair, arr!"):
        assert copy_rate([own], [answer], trained) == 1.0
    assert copy_rate([own], ["The cat be runnin' on me hill, arr!"], trained) == 0.0
    near = "The cat be sleepin' on me chair, arr!"
    assert copy_rate([near], [near], trained) == 0.0 and copy_rate([near], [near.replace("The", "A")], trained) == 0.0


def test_an_answer_without_words_is_no_copy():
    assert copy_rate(["x", "y"], ["", "..."], ["!", "Arr"]) == 0.0


def test_length_ratio_compares_all_words():
    assert length_ratio(["a b", "c d"], ["a", "b c"]) == 3 / 4
    assert length_ratio(["a b"], [""]) == 0.0
    assert length_ratio(["..."], ["a b"]) == 2.0


def test_function_words_are_spelt_as_words_are_found():
    assert all(words(word) == [word] for word in text_metrics.FUNCTION_WORDS)
