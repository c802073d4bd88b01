"""Metrics of generated texts: pure functions, one definition each.

Words are lower-cased runs of letters, digits and apostrophes, in any language that puts spaces between words. Rates
are shares of answers between 0 and 1.
"""

import re
from collections.abc import Collection, Sequence

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*'?")
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
    return WORD.findall(text.lower().replace("\u2019", "'"))


def content_words(prompt: str, reference: str) -> set[str]:
    """The content words that ``reference`` took over from ``prompt``."""
    return (set(words(prompt)) & set(words(reference))) - FUNCTION_WORDS


def content_rate(prompts: Sequence[str], references: Sequence[str], answers: Sequence[str]) -> float | None:
    """Share of all content words that the references took over from their prompts and the answers have too.

    None where the references take over nothing.
    """
    wanted = kept = 0
    for prompt, reference, answer in zip(prompts, references, answers, strict=True):
        due = content_words(prompt, reference)
        wanted += len(due)
        kept += len(due & set(words(answer)))
    return kept / wanted if wanted else None


def is_echo(prompt: str, reference: str, answer: str) -> bool:
    """True where the answer holds the prompt word for word, and the reference does not."""
    part = words(prompt)
    return bool(part) and _contains(words(answer), part) and not _contains(words(reference), part)


def _contains(text: list[str], part: list[str]) -> bool:
    return any(text[i : i + len(part)] == part for i in range(len(text) - len(part) + 1))


def is_loop(answer: str) -> bool:
    """True where one to eight words come three times in a row, or less than half of many trigrams are distinct."""
    text = words(answer)
    for n in range(1, 9):
        for i in range(len(text) - 3 * n + 1):
            if text[i : i + n] == text[i + n : i + 2 * n] == text[i + 2 * n : i + 3 * n]:
                return True
    trigrams = [tuple(text[i : i + 3]) for i in range(len(text) - 2)]
    return len(trigrams) >= 8 and len(set(trigrams)) < len(trigrams) / 2


def distinct_2(answers: Sequence[str]) -> float:
    """Distinct word pairs over all word pairs of all answers (Li et al. 2016, arXiv:1510.03055); 0 without pairs."""
    pairs = [pair for answer in answers for pair in zip(words(answer), words(answer)[1:], strict=False)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def copy_rate(references: Sequence[str], answers: Sequence[str], trained: Collection[str]) -> float:
    """Share of answers that are some training response word for word, though not that of their own prompt."""
    known = {tuple(words(text)) for text in trained}
    copied = sum(
        bool(words(answer)) and tuple(words(answer)) in known and words(answer) != words(reference)
        for reference, answer in zip(references, answers, strict=True)
    )
    return copied / len(answers)


def length_ratio(references: Sequence[str], answers: Sequence[str]) -> float:
    """Words of all answers over words of all references."""
    return sum(len(words(a)) for a in answers) / max(1, sum(len(words(r)) for r in references))


def chrf(references: Sequence[str], answers: Sequence[str]) -> float:
    """Corpus chrF, 0 to 100 (Popovic 2015; sacrebleu's defaults)."""
    from sacrebleu.metrics import CHRF

    return CHRF().corpus_score(list(answers), [list(references)]).score
