"""Templates of prompts and answers, and how their slots are filled; the same seed fills them the same."""

import re
from collections.abc import Callable
from random import Random
from string import Formatter
from typing import NamedTuple

from data.synthetic.tables import load

t = load("everyday")

Turn = tuple[str, str]
Conversation = tuple[Turn, ...]
Cell = str | tuple[str, ...]
Source = tuple[Cell, ...] | Callable[[Random], Cell]

CONSONANT_SOUNDS = ("uni", "use", "euro", "one")
VOWEL_SOUNDS = ("hour", "honest")


class Frame(NamedTuple):
    """Paraphrased prompts, fitting answers, and the sources that fill their numbered slots."""

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    sources: tuple[Source, ...] = ()


class Script(NamedTuple):
    """Turns that share one filling, so that a later answer can recall an earlier prompt."""

    turns: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    sources: tuple[Source, ...]


def with_article(noun: str) -> str:
    """The noun with the fitting "a" or "an"."""
    vowel = noun[0].lower() in "aeiou" and not noun.startswith(CONSONANT_SOUNDS)
    return f"{'an' if vowel or noun.startswith(VOWEL_SOUNDS) else 'a'} {noun}"


def plural(noun: str) -> str:
    """The regular plural of a noun."""
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


class Phrase(Formatter):
    """Text templates in which `{0!a}` adds an article and `{0!p}` makes a plural."""

    def convert_field(self, value: str, conversion: str | None) -> str:
        """Apply an article or a plural; leave plain fields alone."""
        changes = {"a": with_article, "p": plural}
        return changes[conversion](value) if conversion else value


PHRASE = Phrase()


def sentence(text: str) -> str:
    """The text with a capital letter at the start of each sentence."""
    return re.sub(r"(?:^|[.!?] )[a-z]", lambda start: start.group().upper(), text)


def compose(rng: Random, templates: tuple[str, ...], *args: str, **slots: str) -> str:
    """One of the templates, filled in."""
    return sentence(PHRASE.vformat(rng.choice(templates), args, slots))


def sample(rng: Random, sources: tuple[Source, ...]) -> tuple[str, ...]:
    """One cell from each source, flattened into numbered slots."""
    cells = [source(rng) if callable(source) else rng.choice(source) for source in sources]
    return tuple(word for cell in cells for word in ((cell,) if isinstance(cell, str) else cell))


def fill(rng: Random, frame: Frame) -> Turn:
    """One prompt and answer of a frame."""
    args = sample(rng, frame.sources)
    return compose(rng, frame.prompts, *args), compose(rng, frame.answers, *args)


def perform(rng: Random, script: Script) -> Conversation:
    """All the turns of a script, with one shared filling."""
    args = sample(rng, script.sources)
    return tuple((compose(rng, prompt, *args), compose(rng, reply, *args)) for prompt, reply in script.turns)
