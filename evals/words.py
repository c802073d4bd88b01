"""The words of a text, of any script.

Words are lower-cased runs of letters with their combining marks, digits and apostrophes, whichever sign stands for
those. In scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) every grapheme cluster
is a word, and so is an emoji. Words are compared in Unicode's form NFKC.
"""

import unicodedata

import regex

UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u3005\u3006\u30fc]"
EMOJI = r"[[\p{Extended_Pictographic}--[\u00a9\u00ae\u2122]]\p{Regional_Indicator}]"
# Joiners (U+200C, U+200D) stand within words of Persian and of Indic scripts.
LETTERS = rf"(?:[[\p{{L}}\p{{N}}]--{UNSPACED}][\p{{M}}\u200c\u200d]*)+"
GRAPHEME = regex.compile(UNSPACED)
SIGN = regex.compile(rf"(?:{UNSPACED}|{EMOJI})", regex.V1)
WORD = regex.compile(rf"(?={SIGN.pattern})\X|{LETTERS}(?:'{LETTERS})*'?", regex.V1)
#: What is typed for an apostrophe: always, and between letters (a grave accent also quotes code).
APOSTROPHE = regex.compile(r"[\u2018\u2019\u201b\u02bc\u2032\uff07]|(?<=\p{L})[`\u00b4](?=\p{L})")
PIECE = regex.compile(rf"(?={UNSPACED})\X|(?:(?!{UNSPACED})\S)+")


def words(text: str) -> list[str]:
    """The words of ``text`` in order."""
    folded = APOSTROPHE.sub("'", text.lower())  # before NFKC, which makes a space and a mark of an acute accent
    return WORD.findall(unicodedata.normalize("NFKC", folded))


def is_sign(word: str) -> bool:
    """Whether a word is one grapheme cluster of a script without spaces, or an emoji."""
    return SIGN.match(word) is not None


def pieces(text: str) -> list[str]:
    """``text`` cut at its spaces, and in scripts without spaces at every grapheme cluster, as it is written."""
    return PIECE.findall(unicodedata.normalize("NFC", text))
