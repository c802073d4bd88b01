"""The bundled pirate rows are what their card says, and the lexicon finds pirate words and nothing else."""

import hashlib
import re
from collections import Counter

import pytest

from data import pirate
from data.errors import DataError
from data.splits import overlap

CARD = (pirate.FOLDER / "README.md").read_text(encoding="utf-8")
ENDINGS = dict(re.findall(r"^\| `([.?!])` \| `(.+?)` \| \d+ \| \d+ \|$", CARD, re.MULTILINE))
WORDS = dict(re.findall(r"^\| ([A-Za-z']+) \| ([a-zI' ]+) \| \d+ \| \d+ \|$", CARD.split("### Words")[1], re.MULTILINE))
WORDS = {plain.lower(): word for plain, word in WORDS.items()}
CLEAN = [*pirate.named_rows("clean"), *pirate.test_rows()]


def rewritten(prompt):
    """The prompt in pirate, by the rules of the card."""

    def swap(match):
        word = match.group()
        new = WORDS.get(word.lower())
        if new is None:
            more_than_one_syllable = re.search("[aeiouy].*ing$", word.lower())
            return f"{word[:-1]}'" if more_than_one_syllable else word
        # The capital of a dropped letter falls to the letter after it ("Them" -> "'Em"); I is always a capital.
        return re.sub("[A-Za-z]", lambda m: m.group().upper(), new, count=1) if word[0].isupper() else new

    # The possessive is no contraction, so "dog's" is one word that stays.
    return re.sub(r"[A-Za-z]+(?:'[A-Za-z]+)?", swap, prompt[:-1]) + ENDINGS[prompt[-1]]


def tokens(text):
    return set(re.findall(r"[a-z0-9']+", text.lower()))


def jaccard(one, other):
    return len(one & other) / len(one | other)


def test_the_card_lists_every_file():
    assert set(pirate.card_table()) == {path.name for path in pirate.FOLDER.glob("*.jsonl")}


@pytest.mark.parametrize("file", sorted(pirate.card_table()))
def test_rows_and_sha256_are_those_of_the_card(file):
    raw = (pirate.FOLDER / file).read_bytes()
    assert (raw.count(b"\n"), hashlib.sha256(raw).hexdigest()) == pirate.card_table()[file]


@pytest.mark.parametrize(("name", "rows"), [("clean", 250), ("tiny", 20), ("noisy", 500)])
def test_a_named_set_holds_its_rows(name, rows):
    assert pirate.is_named(name)
    found = pirate.named_rows(name)
    assert [row.where for row in found] == [f"{name} row {i}" for i in range(1, rows + 1)]
    assert all(len(row.turns) == 1 and row.prompt.strip() and row.response.strip() for row in found)


def test_an_unknown_name_is_refused_with_the_known_ones():
    assert not pirate.is_named("clean_test")
    with pytest.raises(DataError, match="dirty: no such set; the bundled ones are clean, tiny, noisy"):
        pirate.named_rows("dirty")


def test_no_test_prompt_is_trained_on():
    assert len(pirate.test_rows()) == 60
    for name in pirate.SETS:
        assert overlap(pirate.named_rows(name), pirate.test_rows()) == []


def test_no_test_prompt_nearly_repeats_a_training_prompt():
    trained = [tokens(row.prompt) for name in pirate.SETS for row in pirate.named_rows(name)]
    nearest = max(jaccard(tokens(row.prompt), other) for row in pirate.test_rows() for other in trained)
    assert nearest <= 0.5


def test_no_prompt_occurs_twice_in_the_clean_rows():
    assert len({tuple(sorted(tokens(row.prompt))) for row in CLEAN}) == len(CLEAN)


def test_the_rules_of_the_card_were_read():
    assert len(ENDINGS) == 3 and len(WORDS) == 45
    assert (WORDS["i'm"], WORDS["them"], WORDS["of"]) == ("I be", "'em", "o'")


def test_every_clean_response_is_its_prompt_by_the_rules_of_the_card():
    wrong = [(row.where, row.response, rewritten(row.prompt)) for row in CLEAN if row.response != rewritten(row.prompt)]
    assert wrong == []


def test_every_clean_response_speaks_pirate_and_no_prompt_does():
    assert [row.where for row in CLEAN if not pirate.has_pirate_words(row.response)] == []
    assert [row.where for row in CLEAN if pirate.has_pirate_words(row.prompt)] == []


def test_the_tiny_rows_are_clean_rows():
    assert {row.turns for row in pirate.named_rows("tiny")} <= {row.turns for row in pirate.named_rows("clean")}


def test_half_of_the_noisy_rows_are_the_clean_rows_and_the_rest_are_as_the_card_counts():
    kinds = pirate.noise_kinds()
    counted = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", CARD, re.MULTILINE))
    assert Counter(kinds) == {kind: int(n) for kind, n in counted.items()}
    good = [row.turns for row, kind in zip(pirate.named_rows("noisy"), kinds, strict=True) if kind == "none"]
    assert sorted(good) == sorted(row.turns for row in pirate.named_rows("clean"))


def test_noise_is_what_it_is_called():
    prompts = {row.prompt: row.response for row in pirate.named_rows("clean")}
    for row, kind in zip(pirate.named_rows("noisy"), pirate.noise_kinds(), strict=True):
        assert pirate.has_pirate_words(row.response) == (kind != "not_pirate"), row
        assert (row.response == prompts[row.prompt]) == (kind == "none"), row
        if kind == "mismatched":
            assert row.response in prompts.values()
        if kind == "rambling":
            assert len(row.response.split()) >= 3 * len(row.prompt.split())


@pytest.mark.parametrize(
    "text",
    [
        "Ahoy!", "AHOY", "'Ahoy,' he said.", "\u201cAhoy\u201d", "a bottle o' water", "o\u2019 water", "an' so",
        "'Tis late.", "The wind be blowin' hard.", "blowin'.", "It's o'er.", "the lad's boat", "the lads' boat",
        "Yo ho, off we go", "Shiver me timbers!", "ye'll see", "ol' Tom", "a crow's-nest", "(arr)", "yo-ho-ho",
    ],
)  # fmt: skip
def test_pirate_words_are_found(text):
    assert pirate.has_pirate_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "At ten o'clock.", "At ten o\u2019clock.", "He said 'again' and 'begin'.", "\u2018again\u2019", "O'Brien",
        "Yes, they are.", "yesterday", "Ferry", "a ladder", "glass", "The singing king", "a will-o'-the-wisp",
        "fer-de-lance", "an apple", "they've", "where'er", "the years", "buyer", "rock 'an' roll'",
        "Be my mighty hearty friend in the galley.",
    ],
)  # fmt: skip
def test_plain_english_is_not_taken_for_pirate(text):
    assert not pirate.has_pirate_words(text)


def test_the_lexicon_matches_whole_words():
    found = pirate.lexicon().findall("Yo-ho-ho, matey, the cap'n be sailin' o'er, fer ye're late!")
    assert found == ["Yo-ho-ho", "matey", "cap'n", "sailin'", "o'er", "fer"]


@pytest.mark.parametrize(
    "text",
    ["ARRRRRRR!!", "_arr_", "**Arr**", "Aye-aye", "Aye-aye, captain!", "Yarrrrrr", "Arrrgh", "AHOYYY!", "mateyyy"],
)
def test_lengthened_joined_and_emphasised_pirate_words_count(text):
    assert pirate.has_pirate_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "rock 'n' roll", "Rock \u2018n\u2019 roll!", "fish 'n chips", "an array of arrows", "Yeees", "Henry III",
        "art_arr2", "well-arranged", "ayes-have-it", "barrrel", "snake_aye_case",
    ],
)  # fmt: skip
def test_ordinary_words_are_no_pirate_words(text):
    assert not pirate.has_pirate_words(text)


def test_the_lexicon_is_compiled_once():
    assert pirate.lexicon() is pirate.lexicon()
