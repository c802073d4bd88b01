"""What the bundled base model reads: public dialogues and stories, and exercises in copying made from them.

Conversations are tuples of (prompt, answer) turns. Everything here is pure: texts and a ``random.Random`` in, rows out.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from random import Random

from data.synthetic.styles import STYLES, restyle

Turns = tuple[tuple[str, str], ...]

SENTENCE = re.compile(r"[A-Z][^.!?]*[.!?]")
PLAIN = re.compile(r"[A-Za-z0-9 ,.'!?:$-]+")
#: Words that would give the base a taste of what it must not know.
PIRATICAL = re.compile(
    r"\b(pirates?|piracy|ahoy|matey|mateys|arr+g?h?|aye|ye|yer|avast|grog|scurvy|scallywag|landlubber|doubloons?|"
    r"buccaneers?|bilge|lad|lass|lads|booty|hearty|hearties|corsairs?|me hearties|yo ho|"
    r"jolly roger|captain|ar+)\b|\w\win'(?!\w)",
    re.IGNORECASE,
)
HELD_OUT_SHARE = 50  # one sentence of so many is kept from training, to measure copying on


def knows_nothing_of_pirates(text: str) -> bool:
    """True where no piratical word is in ``text``: the base must meet that register for the first time later."""
    return PIRATICAL.search(text) is None


def persona_conversation(text: str, first: int = 0) -> Turns:
    """Turns of one ``User 1: ...`` chat; ``first`` (0 or 1) is the speaker whom the model answers."""
    lines = [re.sub(r"^User \d: ?", "", line).strip() for line in text.splitlines() if line.strip()]
    return _pairs([line for line in lines if "[user" not in line.lower()], first)


def service_conversation(turns: list[list[str]], first: int = 0) -> Turns:
    """Turns of one customer dialogue, given as ``[speaker, text]`` rows."""
    return _pairs([text.strip() for _, text in turns], first)


def _pairs(lines: list[str], first: int) -> Turns:
    lines = lines[first:]
    return tuple(zip(lines[::2], lines[1::2], strict=False))


def story_conversation(story: str, rng: Random) -> Turns:
    """A story told on request; the request names what the story is about, where a name is found in it."""
    story = " ".join(story.split())
    name = re.search(r"named ([A-Z][a-z]+)", story)
    requests = ["Tell me a story.", "Can you tell me a story?", "I would like to hear a story."]
    if name:
        requests += [f"Tell me a story about {name.group(1)}."] * 3
    return ((rng.choice(requests), story),)


def sentences(texts: Iterable[str], least: int = 2, most: int = 12) -> list[str]:
    """Distinct plain sentences of ``least`` to ``most`` words, in order of first appearance."""
    found: dict[str, None] = {}
    for text in texts:
        for sentence in SENTENCE.findall(text):
            words = sentence.split()
            if least <= len(words) <= most and PLAIN.fullmatch(sentence) and knows_nothing_of_pirates(sentence):
                found[" ".join(words)] = None
    return list(found)


def is_held_out(sentence: str) -> bool:
    """True for the sentences that no exercise may use: a fixed hash decides, so every run agrees."""
    return hashlib.sha256(sentence.encode()).digest()[0] % HELD_OUT_SHARE == 0


def exercise(sentence: str, rng: Random) -> tuple[str, str]:
    """One copying exercise over ``sentence``: repeat it, rewrite it in a style, or point at a part of it."""
    kind = rng.random()
    if kind < 0.34:
        return f"{rng.choice(('Repeat', 'Repeat', 'Repeat', 'Say', 'Copy'))}: {sentence}", sentence
    if kind < 0.90:
        style = rng.choice(STYLES)
        requests = rng.choice(("Translate to {}", "Translate to {}", "Say it like a {}", "In {} style"))
        return f"{requests.format(style.name)}: {sentence}", restyle(sentence, style)
    words = re.findall(r"[\w'$:-]+", sentence)
    part = rng.choice(("first", "last", "twice"))
    if part == "twice" or not words:
        return f"Say it twice: {sentence}", f"{sentence} {sentence}"
    return f"{part.capitalize()} word: {sentence}", words[0 if part == "first" else -1].capitalize() + "."


def random_sentence(words: list[str], rng: Random) -> str:
    """Words chosen at random: nothing can be guessed, so only copying helps."""
    chosen = [rng.choice(words) for _ in range(rng.randint(2, 12))]
    return " ".join(chosen).capitalize() + rng.choice("...?!")


def in_character(chosen: list[str], rng: Random) -> Turns:
    """A conversation that agrees on a style first and rewrites bare sentences from then on."""
    style = rng.choice(STYLES)
    requests = rng.choice(("From now on, speak like a {}.", "Say everything like a {}.", "Be a {} now."))
    agreed = restyle(rng.choice(("Yes, I will do that.", "I will.", "That is good.")), style)
    return ((requests.format(style.name), agreed), *((s, restyle(s, style)) for s in chosen))


def exercises(pool: list[str], words: list[str], n: int, rng: Random) -> Iterator[Turns]:
    """``n`` conversations of one to four exercises over ``pool`` and, for three in ten, over random ``words``."""
    for _ in range(n):
        random_words = rng.random() < 0.3
        chosen = [random_sentence(words, rng) if random_words else rng.choice(pool) for _ in range(rng.randint(1, 4))]
        if rng.random() < 0.25:
            yield in_character(chosen, rng)
        else:
            yield tuple(exercise(sentence, rng) for sentence in chosen)
