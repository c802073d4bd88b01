"""Word-preserving rewrites in invented styles, none of them a pirate's: exercises in rewriting for the base model.

A style changes a few words, always the same way, and adds a fixed ending chosen by the sentence's last mark. Every
other word stays where it was, so that a model which learns many styles learns to copy.
"""

import re
from dataclasses import dataclass, field

from data.synthetic.tables import load

WORD = re.compile(r"[A-Za-z']+")
ING = re.compile(r"[A-Za-z]{3,}ing")


@dataclass(frozen=True)
class Style:
    """A style: ``words`` maps lower-case words, ``opening`` comes first, ``endings`` replace the last mark.

    ``ing`` is what the ending of "sleeping" becomes; the few styles that change it are exercises in changing a part of
    a known word.
    """

    name: str
    words: dict[str, str] = field(default_factory=dict)
    opening: str = ""
    endings: dict[str, str] = field(default_factory=dict)
    ing: str = "ing"


def restyle(sentence: str, style: Style) -> str:
    """Rewrite one sentence ending in ``.``, ``?`` or ``!`` (anything else keeps its end) in ``style``."""

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        new = style.words.get(word.lower())
        if new is None:
            return word[:-3] + style.ing if ING.fullmatch(word) else word
        capital = word[0].isupper() and (word != "I" or match.start() == 0)
        return new[0].upper() + new[1:] if capital else new

    text = WORD.sub(swap, sentence)
    mark = text[-1:]
    if mark in style.endings:
        text = text[:-1] + style.endings[mark]
    return f"{style.opening} {text}" if style.opening else text


STYLES = tuple(Style(**each) for each in load("styles").STYLES)
