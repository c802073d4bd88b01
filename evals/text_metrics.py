"""Metrics of generated texts: pure functions, one definition each.

Words are those of ``evals.words``; characters are compared in Unicode's composed form (NFC). Rates are shares of
answers between 0 and 1.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA, Indel, LCSseq

from evals.words import GRAPHEME, words

#: Words that carry no content of their own; what is left of a prompt is what an answer must keep.
FUNCTION_WORDS = frozenset(
    "a an the and or but if so of to in on at by for from with as is am are was were be been being it its it's i "
    "i'm you you're your he he's she she's they they're we we're this that that's these those there there's here "
    "do does did don't doesn't didn't can can't could will would shall should may might must have has had not no "
    "yes my me mine him his her hers them their our us what what's which who who's when where where's why how "
    "how's than then too very just please let's isn't aren't wasn't".split()
)

#: Words that negate, in pirate English and some other languages.
NEGATIONS = frozenset(
    "no not nor neither never none nobody nothing nothin' nowhere without cannot nay ne'er ain't "
    "nicht kein keine keinen nie ne pas jamais nunca não non не нет नहीं मत 不 没 别 无".split()
)
#: Shorter words that no prompt has are taken for exclamations and particles.
LEAST_FOREIGN = 4
#: Texts of fewer words than this are copies or echoes only to the letter.
LEAST_NEAR = 5
#: Share of equal words (twice the longest common part over both lengths) from which one text is a copy of another.
NEAR_COPY = 6 / 7


def content_words(prompt: str, reference: str) -> set[str]:
    """The content words that ``reference`` took over from ``prompt``."""
    return (set(_terms(prompt)) & set(_terms(reference))) - FUNCTION_WORDS


def _terms(text: str) -> list[str]:
    """The words of ``text`` in order; in scripts without spaces every two neighbours, as one cluster means little."""
    found = words(text)
    terms = []
    for word, after in zip(found, [*found[1:], ""], strict=False):
        if not GRAPHEME.match(word):
            terms.append(word)
        elif GRAPHEME.match(after):
            terms.append(word + after)
    return terms


def content_rate(prompts: Sequence[str], references: Sequence[str], answers: Sequence[str]) -> float | None:
    """F1 of the content words that the references took over from their prompts, over all rows; see ``content_kept``.

    None where the references take over nothing.
    """
    kept, due = content_kept(prompts, references, answers).sum(0)
    return float(kept / due) if due else None


def content_kept(
    prompts: Sequence[str],
    references: Sequence[str],
    answers: Sequence[str],
    has_style: Callable[[str], bool] | None = None,
) -> np.ndarray:
    """Twice the content words kept, and those due and given together, ``[rows, 2]``: the ratio of sums is their F1.

    Due are the words that a reference took over from its prompt; kept, as many as the answer has in the same order.
    Given are the answer's words that are due or foreign: of four letters or more, in neither prompt nor reference, and
    no words of the style, which two references have or of which ``has_style`` holds. Nothing is kept where an answer
    negates what prompt and reference do not, or the reverse.
    """
    found = []
    counts = Counter(word for text in references for word in set(words(text)))
    plain = {word for word, n in counts.items() if n > 1} | FUNCTION_WORDS | NEGATIONS
    for prompt, reference, answer in zip(prompts, references, answers, strict=True):
        taken_over, known = content_words(prompt, reference), {*plain, *_terms(prompt), *_terms(reference)}
        due = [word for word in _terms(reference) if word in taken_over]
        given = [w for w in _terms(answer) if w in taken_over or _is_foreign(w, known, has_style)]
        kept = 0 if _is_contradiction(prompt, reference, answer) else LCSseq.similarity(due, given)
        found.append((2 * kept, len(due) + len(given)) if due else (0, 0))
    return np.array(found, dtype=float).reshape(-1, 2)


def _is_foreign(word: str, known: Collection[str], has_style: Callable[[str], bool] | None) -> bool:
    return len(word) >= LEAST_FOREIGN and word not in known and not (has_style and has_style(word))


def _is_contradiction(prompt: str, reference: str, answer: str) -> bool:
    """Whether the answer negates where prompt and reference do not, or does not where both do."""
    in_prompt, in_reference, in_answer = (_is_negated(text) for text in (prompt, reference, answer))
    return in_prompt == in_reference != in_answer


def _is_negated(text: str) -> bool:
    return any(word in NEGATIONS or word.endswith("n't") for word in words(text))


def is_echo(prompt: str, reference: str, answer: str) -> bool:
    """True where the answer holds the prompt word for word, and the reference does not.

    In prompts of five words or more, one word may be another, left out or added, or two neighbours may change places,
    as long as that brings the answer no nearer to the reference than the prompt is.
    """
    part, text, wanted = words(prompt), words(answer), words(reference)
    if not part or _contains(wanted, part):
        return False
    if _contains(text, part):
        return True
    is_near = len(part) >= LEAST_NEAR and _contains_nearly(text, part)
    return is_near and OSA.distance(text, wanted) >= OSA.distance(part, wanted)


def _contains(text: list[str], part: list[str]) -> bool:
    return any(text[i : i + len(part)] == part for i in range(len(text) - len(part) + 1))


def _contains_nearly(text: list[str], part: list[str]) -> bool:
    """Whether a run of ``text`` is ``part`` but for one word."""
    runs = (text[i : i + n] for n in range(len(part) - 1, len(part) + 2) for i in range(len(text) - n + 1))
    return any(OSA.distance(run, part, score_cutoff=1) <= 1 for run in runs)


def distinct_2(answers: Sequence[str]) -> float:
    """Distinct word pairs over all word pairs of all answers (Li et al. 2016, arXiv:1510.03055); 0 without pairs."""
    pairs = [pair for answer in answers for pair in word_pairs(answer)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def distinct_2_statistics(answers: Sequence[str]) -> np.ndarray:
    """Statistics ``[rows, 2]`` whose ratio of sums is ``distinct_2``: the second are the answers' word pairs.

    The first are the pairs that no other answer has, which is how many distinct ones are lost without the answer, and
    an equal part of the pairs that several have. So standard errors are those of the jackknife.
    """
    pairs = [word_pairs(answer) for answer in answers]
    answers_with = Counter(pair for each in pairs for pair in set(each))
    own = np.array([sum(answers_with[pair] == 1 for pair in set(each)) for each in pairs], dtype=float)
    shared = (len(answers_with) - own.sum()) / max(1, len(own))
    return np.stack([own + shared, [len(each) for each in pairs]], axis=-1)


def word_pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of neighbouring words."""
    return list(pairwise(words(text)))


def copies(references: Sequence[str], answers: Sequence[str], trained: Collection[str]) -> list[bool]:
    """Whether each answer is some training response word for word, though not that of its own prompt.

    In answers of five words or more a seventh of the words may differ, if the own reference is not as near.
    """
    known = {tuple(words(text)) for text in trained}
    return [
        _is_copy(words(reference), words(answer), known) for reference, answer in zip(references, answers, strict=True)
    ]


def copy_rate(references: Sequence[str], answers: Sequence[str], trained: Collection[str]) -> float:
    """The share of ``copies``."""
    return sum(copies(references, answers, trained)) / len(answers)


def _is_copy(reference: list[str], answer: list[str], known: Collection[tuple[str, ...]]) -> bool:
    if not answer or answer == reference:
        return False
    if tuple(answer) in known:
        return True
    if len(answer) < LEAST_NEAR:
        return False
    near = process.extractOne(answer, known, scorer=Indel.normalized_similarity, score_cutoff=NEAR_COPY)
    return near is not None and near[1] > Indel.normalized_similarity(answer, reference)


def length_ratio(references: Sequence[str], answers: Sequence[str]) -> float:
    """Words of all answers over words of all references."""
    answered, wanted = word_counts(references, answers).sum(0)
    return float(answered / max(1, wanted))


def word_counts(references: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    """The words of each answer and of its reference, ``[rows, 2]``."""
    return np.array([list(map(len, map(words, texts))) for texts in (answers, references)], dtype=float).T


def is_misfit(reference: str, answer: str) -> bool:
    """Whether an answer is shorter than a third of its reference, or longer than three times, in characters.

    Ten characters more are always allowed. Spaces don't count.
    """
    size, wanted = ("".join(unicodedata.normalize("NFC", text).split()) for text in (answer, reference))
    return not len(wanted) / 3 <= len(size) <= 3 * len(wanted) + 10


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
