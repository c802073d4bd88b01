"""The 32 conversations on which an export is compared with its version."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.conversation import Row

#: What a conversation is compared on is its last prompt; the texts below are none of the bundled sets' rows.
SINGLE = (
    "Where do the stars go in the morning?", "How do I boil an egg?", "Tell me about your favourite season.",
    "What is the capital of France?", "Why is the sky blue?", "Name three fruits.", "Can you help me with my homework?",
    "What should I cook tonight?", "How far away is the moon?", "Write one sentence about the sea.",
    "What does a carpenter do?", "Is it going to rain tomorrow?", "Good morning!", "How old is the oldest tree?",
    "What is 7 times 8?", "Give me a word that rhymes with light.", "Who wrote Hamlet?", "Explain what a bank does.",
    "What is the opposite of cold?", "How do bees make honey?", "I feel tired today.", "What makes a good friend?",
    "Translate 'thank you' into Spanish.", "List two uses of a rope.", "def add(a, b):\n    return", "?",
)  # fmt: skip
NON_ASCII = ("Où est la bibliothèque, s'il vous plaît ?", "¿Qué hora es? 🕒", "日本の首都はどこですか。")
LONG = [  # the first that the model's positions hold is taken
    "Read this list and say what comes next. " + " ".join(f"Item {i} is a small boat." for i in range(1, count))
    for count in (25, 13, 7, 4)
]
EARLIER = (("My name is Ann.", "Hello Ann."), ("I have two cats.", "That is nice."))
SYSTEM = "You answer in one short sentence."
COUNT = 32
MOST_OWN = 16


@dataclass(frozen=True)
class Conversations:
    """The conversations of a comparison and ``notes``: how many are the version's own, what is left out."""

    rows: list[Row]
    notes: tuple[str, ...]


def conversations(own: Sequence[Row], takes_system: bool, fits: Callable[[Row], bool], note: str = "") -> Conversations:
    """32 conversations: with earlier turns, with a system prompt, long, non-ASCII, and single prompts.

    Args:
        own: held-out rows of the version, the first 16 of which take the places of as many single prompts.
        takes_system: whether the chat template takes a system message; where it does not, that one has none.
        fits: whether the model's positions hold a conversation and its answer; others are left out.
        note: why there are no rows of the version.
    """
    usable = [row for row in own if row.chat is None]
    held_out = [Row((*row.turns[:-1], (row.prompt, "")), row.system if takes_system else "") for row in usable]
    special = [
        Row((*EARLIER, ("How many cats do I have?", ""))),
        Row((("What is a harbour?", ""),), SYSTEM if takes_system else ""),
        *_single(NON_ASCII),
    ]
    long = [row for row in _single(LONG) if fits(row)][:1]
    wanted = [*special, *held_out[:MOST_OWN], *_single(SINGLE)]
    rows = [*long, *(row for row in wanted if fits(row))][:COUNT]
    counted = {
        "held-out rows of the version": sum(row in held_out for row in rows),
        "left out, longer than the model's positions hold": sum(not fits(row) for row in wanted) + (not long),
        "held-out rows left out that call tools": len(own) - len(usable),
        "held-out rows compared without their system message, which the template does not take": 0
        if takes_system
        else sum(bool(row.system) for row in usable[:MOST_OWN]),
    }
    notes = [f"{count} {words}" for words, count in counted.items() if count]
    return Conversations(rows, (*notes, *([note] if note else [])))


def _single(prompts: Sequence[str]) -> list[Row]:
    return [Row(((prompt, ""),)) for prompt in prompts]
