"""Metrics of generated texts: pure functions, one definition each.

Words are lower-cased runs of letters with their combining marks, digits and apostrophes. In scripts that put no spaces
between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) every grapheme cluster is a word, and so is an emoji. Texts
are compared in Unicode's composed form (NFC). Rates are shares of answers between 0 and 1.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from math import ceil

import numpy as np
import regex

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u3005\u3006\u30fc]"
EMOJI = r"[[\p{Extended_Pictographic}--[\u00a9\u00ae\u2122]]\p{Regional_Indicator}]"
# Joiners (U+200C, U+200D) stand within words of Persian and of Indic scripts.
LETTERS = rf"(?:[[\p{{L}}\p{{N}}]--{UNSPACED}][\p{{M}}\u200c\u200d]*)+"
GRAPHEME = regex.compile(UNSPACED)
SIGN = regex.compile(rf"(?:{UNSPACED}|{EMOJI})", regex.V1)
WORD = regex.compile(rf"(?={SIGN.pattern})\X|{LETTERS}(?:'{LETTERS})*'?", regex.V1)
LONGEST_LOOP = 8
#: The same for words of one grapheme cluster: as many as eight words have, at four each.
LONGEST_SIGN_LOOP = 32
#: So many grapheme clusters that repeat one to four of them are a loop; fewer may be laughter, or a row of emoji.
LEAST_SIGNS = 9
#: Words that carry no content of their own; what is left of a prompt is what an answer must keep.
FUNCTION_WORDS = frozenset(
    "a an the and or but if so of to in on at by for from with as is am are was were be been being it its it's i "
    "i'm you you're your he he's she she's they they're we we're this that that's these those there there's here "
    "do does did don't doesn't didn't can can't could will would shall should may might must have has had not no "
    "yes my me mine him his her hers them their our us what what's which who who's when where where's why how "
    "how's than then too very just please let's isn't aren't wasn't".split()
)


def words(text: str) -> list[str]:
    """The words of ``text`` in order."""
    return WORD.findall(unicodedata.normalize("NFC", text.lower()).replace("\u2019", "'"))


def _is_sign(word: str) -> bool:
    """Whether a word is one grapheme cluster of a script without spaces, or an emoji."""
    return SIGN.match(word) is not None


def content_words(prompt: str, reference: str) -> set[str]:
    """The content words that ``reference`` took over from ``prompt``."""
    return (_terms(prompt) & _terms(reference)) - FUNCTION_WORDS


def _terms(text: str) -> set[str]:
    """The words of ``text``; in scripts without spaces every two neighbours, as one grapheme cluster means little."""
    found = words(text)
    pairs = {a + b for a, b in zip(found, found[1:], strict=False) if GRAPHEME.match(a) and GRAPHEME.match(b)}
    return pairs | {word for word in found if not GRAPHEME.match(word)}


def content_rate(prompts: Sequence[str], references: Sequence[str], answers: Sequence[str]) -> float | None:
    """Share of all content words that the references took over from their prompts and the answers have too.

    None where the references take over nothing.
    """
    kept, wanted = content_kept(prompts, references, answers).sum(0)
    return float(kept / wanted) if wanted else None


def content_kept(prompts: Sequence[str], references: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """Content words that each reference took over from its prompt, ``[rows, 2]``: those in the answer, and all."""
    found = []
    for prompt, reference, answer in zip(prompts, references, answers, strict=True):
        due = content_words(prompt, reference)
        found.append((len(due & _terms(answer)), len(due)))
    return np.array(found, dtype=float).reshape(-1, 2)


def is_echo(prompt: str, reference: str, answer: str) -> bool:
    """True where the answer holds the prompt word for word, and the reference does not."""
    part = words(prompt)
    return bool(part) and _contains(words(answer), part) and not _contains(words(reference), part)


def _contains(text: list[str], part: list[str]) -> bool:
    return any(text[i : i + len(part)] == part for i in range(len(text) - len(part) + 1))


def is_loop(answer: str) -> bool:
    """True where one to eight words come three times in a row, or less than half of many trigrams are distinct.

    In scripts without spaces it is up to 32 grapheme clusters that come three times, of nine or more altogether, and
    less than half of the runs of six.
    """
    text = words(answer)
    signs = [_is_sign(word) for word in text]
    for n in range(1, (LONGEST_SIGN_LOOP if any(signs) else LONGEST_LOOP) + 1):
        for i in range(len(text) - 3 * n + 1):
            is_sign = all(signs[i : i + n])
            times = max(3, ceil(LEAST_SIGNS / n)) if is_sign else 3
            if (is_sign or n <= LONGEST_LOOP) and text[i : i + n] * times == text[i : i + n * times]:
                return True
    size = 6 if sum(signs) > len(signs) / 2 else 3
    runs = [tuple(text[i : i + size]) for i in range(len(text) - size + 1)]
    return len(runs) >= 8 and len(set(runs)) < len(runs) / 2


def distinct_2(answers: Sequence[str]) -> float:
    """Distinct word pairs over all word pairs of all answers (Li et al. 2016, arXiv:1510.03055); 0 without pairs."""
    pairs = [pair for answer in answers for pair in zip(words(answer), words(answer)[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def copies(references: Sequence[str], answers: Sequence[str], trained: Collection[str]) -> list[bool]:
    """Whether each answer is some training response word for word, though not that of its own prompt."""
    known = {tuple(words(text)) for text in trained}
    return [
        bool(words(answer)) and tuple(words(answer)) in known and words(answer) != words(reference)
        for reference, answer in zip(references, answers, strict=True)
    ]


def copy_rate(references: Sequence[str], answers: Sequence[str], trained: Collection[str]) -> float:
    """The share of ``copies``."""
    return sum(copies(references, answers, trained)) / len(answers)


def length_ratio(references: Sequence[str], answers: Sequence[str]) -> float:
    """Words of all answers over words of all references."""
    return sum(len(words(a)) for a in answers) / max(1, sum(len(words(r)) for r in references))


CHRF_ORDER, CHRF_BETA = 6, 2


def chrf_statistics(references: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """What corpus chrF is computed from, ``[rows, 3 * CHRF_ORDER]``.

    For each order from 1 the character n-grams of the answer, those of the reference, and those that are in both.
    """
    found = np.zeros((len(answers), 3 * CHRF_ORDER))
    for row, texts in zip(found, zip(answers, references, strict=True), strict=True):
        plain = ["".join(unicodedata.normalize("NFC", text).split()) for text in texts]
        for n in range(1, CHRF_ORDER + 1):
            answer, reference = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in plain)
            counted = answer.total() if reference else 0  # as sacrebleu counts
            row[3 * n - 3 : 3 * n] = counted, reference.total(), (answer & reference).total()
    return found


def chrf_of_sums(sums: np.ndarray) -> np.ndarray:
    """Corpus chrF, 0 to 100, ``[...]``, from sums of ``chrf_statistics`` over rows, ``[..., 3 * CHRF_ORDER]``.

    As sacrebleu does it: orders without n-grams on either side are left out of the means.
    """
    answers, references, matches = np.moveaxis(sums.reshape(*sums.shape[:-1], CHRF_ORDER, 3), -1, 0)
    counts = (answers > 0) & (references > 0)
    orders = np.maximum(counts.sum(-1), 1)
    precision, recall = (
        np.divide(matches, each, out=np.zeros_like(matches), where=counts).sum(-1) / orders
        for each in (answers, references)
    )
    below = CHRF_BETA**2 * precision + recall
    above = (1 + CHRF_BETA**2) * precision * recall
    return 100 * np.divide(above, below, out=np.zeros_like(below), where=below > 0)


def chrf(references: Sequence[str], answers: Sequence[str]) -> float:
    """Corpus chrF, 0 to 100 (Popovic 2015; sacrebleu's defaults)."""
    from sacrebleu.metrics import CHRF

    composed = [[unicodedata.normalize("NFC", text) for text in texts] for texts in (answers, references)]
    return CHRF().corpus_score(composed[0], [composed[1]]).score
