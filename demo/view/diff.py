"""Word diff of two or more answers: each as HTML with the words marked that the other does not have."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby

from rapidfuzz.distance import LCSseq

from demo.view.html import Markup, escaped

# Scripts without spaces are compared character by character; elsewhere a word keeps its
# accents, joined emoji and apostrophes.
_SIGNS = "\u3040-\u30ff\u3400-\u9fff"
_PUNCTUATION = r"!-/:-@\[-\^`{-~\u00a1\u00ab\u00bb\u00bf\u2010-\u2027\u2030-\u205e\u3001\u3002"
_INNER = f"[^\\s{_SIGNS}{_PUNCTUATION}]+"
_TOKEN = re.compile(f"\\s+|[{_SIGNS}]|{_INNER}(?:['\u2019-]{_INNER})*|[{_PUNCTUATION}]")
_WORD = re.compile(f"[^\\s{_PUNCTUATION}]")

REPETITIVE = 4000  # pairs of equal tokens; two ordinary answers of 300 words have fewer


@dataclass(frozen=True)
class Diff:
    """Two answers side by side.

    ``first`` and ``other``: HTML; words that only the first has stand in ``<del>``, words that only the other has in
    ``<ins>``. ``similarity``: share of words in common, 0 to 1, as ``2 * common / (words of both)``.
    """

    first: Markup
    other: Markup
    similarity: float


def marked(first: str, other: str) -> Diff:
    """Compare two answers word by word; blanks are kept, and differences of blanks alone are not marked."""
    one, two = _TOKEN.findall(first), _TOKEN.findall(other)
    kept_one, kept_two = _kept(one, two)
    return Diff(_html(one, kept_one, "del"), _html(two, kept_two, "ins"), _similarity(one, kept_one, two, kept_two))


def similarity(first: str, other: str) -> float:
    """Share of words in common, as ``Diff.similarity``."""
    one, two = _TOKEN.findall(first), _TOKEN.findall(other)
    kept_one, kept_two = _kept(one, two)
    return _similarity(one, kept_one, two, kept_two)


def marked_all(texts: Sequence[str]) -> tuple[Markup, ...]:
    """HTML of each of several answers, all compared with the first.

    In the first, the words that every other answer left out are marked; in the others, those that the first lacks.
    """
    if len(texts) < 2:
        return tuple(escaped(text) for text in texts)
    one, *others = (_TOKEN.findall(text) for text in texts)
    kept = [_kept(one, other) for other in others]
    by_any = [any(flags) for flags in zip(*(first for first, _ in kept), strict=True)]
    rest = (_html(other, flags, "ins") for other, (_, flags) in zip(others, kept, strict=True))
    return (_html(one, by_any, "del"), *rest)


def _kept(one: Sequence[str], two: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """For each token of either side, whether the other has it too, in the same order. Blanks count as kept."""
    at_one = [at for at, token in enumerate(one) if not token.isspace()]
    at_two = [at for at, token in enumerate(two) if not token.isspace()]
    kept_one, kept_two = [token.isspace() for token in one], [token.isspace() for token in two]
    for first, second in _pairs([one[at] for at in at_one], [two[at] for at in at_two]):
        kept_one[at_one[first]] = kept_two[at_two[second]] = True
    return kept_one, kept_two


def _pairs(one: Sequence[str], two: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Indices of equal tokens, ascending on both sides.

    SequenceMatcher finds the long runs that people see, but takes half a second for two repetitive answers, as badly
    trained models give them; those get a longest common subsequence, whose time does not depend on the repetition.
    """
    counts = Counter(two)
    if sum(number * counts[token] for token, number in Counter(one).items()) > REPETITIVE:
        blocks = LCSseq.editops(one, two).as_matching_blocks()
    else:
        blocks = SequenceMatcher(None, one, two, autojunk=False).get_matching_blocks()
    return ((first + offset, second + offset) for first, second, size in blocks for offset in range(size))


def _similarity(one: Sequence[str], kept_one: list[bool], two: Sequence[str], kept_two: list[bool]) -> float:
    flags = [
        kept
        for tokens, marks in ((one, kept_one), (two, kept_two))
        for token, kept in zip(tokens, marks, strict=True)
        if _WORD.match(token)
    ]
    return sum(flags) / len(flags) if flags else float(one == two)


def _html(tokens: Sequence[str], kept: Sequence[bool], tag: str) -> Markup:
    """The tokens with each run of unkept ones in one element, together with the blanks inside the run."""
    opening, closing = Markup(f'<{tag} class="parley-{tag}">'), Markup(f"</{tag}>")
    # blanks between two unkept tokens belong to their run
    flags = [
        is_kept and not (token.isspace() and 0 < at < len(kept) - 1 and not (kept[at - 1] or kept[at + 1]))
        for at, (token, is_kept) in enumerate(zip(tokens, kept, strict=True))
    ]
    parts: list[Markup] = []
    for is_kept, run in groupby(range(len(tokens)), lambda at: flags[at]):
        text = escaped("".join(tokens[at] for at in run))
        parts += [text] if is_kept else [opening, text, closing]
    return Markup("".join(parts))
