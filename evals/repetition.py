"""Whether an answer repeats itself: by its words, by its letters and signs, by how few of its parts are distinct."""

import math
import zlib

import regex

from evals.words import APOSTROPHE, SIGN, is_sign, words

LONGEST_LOOP = 8
#: The same for words of one grapheme cluster: as many as eight words have, at four each.
LONGEST_SIGN_LOOP = 32
#: So many grapheme clusters that repeat one to four of them are a loop; fewer may be laughter, or a row of emoji.
LEAST_SIGNS = 9
#: In a longer answer one word may come three or four times in a row, as "lamps, lamps, lamps".
MOST_WORDS = 12
#: A text of fewer words may come twice for emphasis.
LEAST_DOUBLED = 4
#: Words that people say three or four times for emphasis.
EMPHATIC = frozenset(
    "no nay yes yeah yay aye never very really so far many much more please sorry well now come go run row bye hey "
    "hello hooray hurrah wow oh ah knock ding dong tick tock beep boom chop blah bla la na da doo wait stop help why "
    "there good right ok okay again on up down round and".split()
)
#: Syllables of laughter, repeated: ha ha, hehe, jaja, xaxa.
LAUGHTER = regex.compile(
    r"(?:har)+|(?:[hjx\u0445\u10f0][aeiou\u0430\u0435\u0438\u043e]+h?)+|a(?:ha)+h?|(?:ah|eh|oh)+|[kw\u3131-\u314e]+"
    r"|[\u54c8\u5475\u563f\u563b\u306f\u30cf\u7b11\u8349]+"
)
#: The mark before an item of a list, at the start or after a space: 1. 2) (3) a)
ITEM = regex.compile(r"(?:^|(?<=\s))\(?(?:\d{1,3}|[a-z])[.)](?=\s)")
REPEATED = regex.compile(r"(\X{1,32}?)\1{2,}")
#: What lines and rules are drawn with.
RULES = frozenset("-=_*~#+|")


def is_loop(answer: str) -> bool:
    """True where an answer repeats itself.

    - One to eight words come three times in a row (one ``EMPHATIC`` word, or any in an answer of more than twelve, five
      times; laughter and numbers nine times); where words are grapheme clusters, up to 32 of them, nine or more
      altogether.
    - In a run without spaces three letters or more come three times, two five times, one twenty times; of a script
      without spaces two or more grapheme clusters three times, one six times, and so an emoji; ten punctuation marks.
    - All items of a list are the same.
    - Less than half of eight or more trigrams are distinct (runs of six, where words are grapheme clusters), or zlib
      shrinks 200 bytes or more to a quarter.
    """
    text = words(answer)
    return _repeats_words(text) or _is_one_item(answer) or _stutters(answer) or _is_redundant(answer, text)


def repeats(reference: str, answer: str) -> bool:
    """Whether an answer is a loop or one text of four words or more twice, where its reference is neither."""
    return (is_loop(answer) or _is_doubled(answer)) and not (is_loop(reference) or _is_doubled(reference))


def _is_doubled(answer: str) -> bool:
    text = words(answer)
    half = len(text) // 2
    return half >= LEAST_DOUBLED and text[:half] * 2 == text


def _repeats_words(text: list[str]) -> bool:
    signs = [is_sign(word) for word in text]
    for n in range(1, (LONGEST_SIGN_LOOP if any(signs) else LONGEST_LOOP) + 1):
        for i in range(len(text) - 3 * n + 1):
            unit, of_signs = text[i : i + n], all(signs[i : i + n])
            times = max(3, math.ceil(LEAST_SIGNS / n)) if of_signs else _times(unit, len(text))
            if (of_signs or n <= LONGEST_LOOP) and unit * times == text[i : i + n * times]:
                return True
    return False


def _times(unit: list[str], size: int) -> int:
    """How often words must come in a row to be a loop in an answer of ``size`` words."""
    is_one = len(set(unit)) == 1
    if LAUGHTER.fullmatch("".join(unit)) or (is_one and unit[0].isdigit()):
        return 9
    return 5 if is_one and (unit[0] in EMPHATIC or size > MOST_WORDS) else 3


def _is_one_item(answer: str) -> bool:
    """Whether an answer is a list of two or more equal items."""
    items = [words(item) for item in ITEM.split(answer)[1:]]
    return len(items) > 1 and bool(items[0]) and all(item == items[0] for item in items)


def _stutters(answer: str) -> bool:
    """Whether letters, signs or marks repeat within a run without spaces."""
    for run in APOSTROPHE.sub("'", answer.casefold()).replace("'", "").split():
        for found in REPEATED.finditer(run):
            unit, times = found[1], len(found[0]) // len(found[1])
            if times >= _times_unspaced(unit):
                return True
    return False


def _times_unspaced(unit: str) -> float:
    """How often characters must follow each other to be a loop; infinite where they may as often as they like."""
    size = len(regex.findall(r"\X", unit))
    if LAUGHTER.fullmatch(unit):
        return 13
    if SIGN.match(unit):
        return 6 if size == 1 else 3
    if not regex.search(r"[\p{L}\p{N}]", unit):
        return math.inf if set(unit) <= RULES else 10 / size
    if regex.search(r"\p{N}", unit):
        return 20 / size
    return {1: 20, 2: 5}.get(size, 3)


def _is_redundant(answer: str, text: list[str]) -> bool:
    """Whether few of the answer's runs of words are distinct, or its bytes hold little information."""
    size = 6 if sum(map(is_sign, text)) > len(text) / 2 else 3
    runs = [tuple(text[i : i + size]) for i in range(len(text) - size + 1)]
    if len(runs) >= 8 and len(set(runs)) < len(runs) / 2:
        return True
    raw = " ".join(answer.split()).encode("utf-8", "surrogatepass")
    return len(raw) >= 200 and len(zlib.compress(raw)) < len(raw) / 4
