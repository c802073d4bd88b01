"""Film reviews as dialogues for a very small chat model: classify one, or write one."""

from random import Random

from data.synthetic.phrases import PHRASE, Conversation, compose, sentence
from data.synthetic.tables import load

t = load("everyday")

OTHER = {"positive": "negative", "negative": "positive"}
WRITE_PROMPTS = (
    "Write a {0} review of {1!a}.",
    "Please write a {0} review of {1!a}.",
    "Write a short {0} review of {1!a}.",
    "Can you write a {0} review of {1!a}?",
    "Write a {0} film review about {1!a}.",
)


def aspect_clause(rng: Random, aspect: tuple, label: str) -> str:
    """What the review says about one side of the film, without a capital or a full stop."""
    subject, present, past, praise, blame = aspect
    verb = rng.choice((present, past))
    good = label == "positive"
    word = rng.choice(praise if good else blame)
    # The negated words are plain, so that the turn of meaning lies in the "not" alone.
    turned = rng.choice(t.MILD_BAD if good else t.MILD_GOOD)
    plain = (
        "the {s} {v} {w}",
        "the {s} {v} {w}",
        "the {s} {v} {d} {w}",
        "I found that the {s} {v} {w}",
        "for me the {s} {v} {w}",
        "I think the {s} {v} {w}",
    )
    negated = (
        "the {s} {v} not {n} at all",
        "I did not find that the {s} {v} {n}",
        "nobody can say that the {s} {v} {n}",
    )
    template = rng.choice(negated if rng.random() < 0.2 else plain)
    return PHRASE.format(template, s=subject, v=verb, w=word, d=rng.choice(t.REVIEW_DEGREES), n=turned)


def aspect_sentences(rng: Random, label: str, count: int) -> list[str]:
    """Sentences on different sides of the film, some of them joining two sides."""
    aspects = rng.sample(t.ASPECTS, 2 * count)
    clauses = [aspect_clause(rng, aspect, label) for aspect in aspects]
    return [
        f"{clauses[2 * i]} and {clauses[2 * i + 1]}." if rng.random() < 0.3 else f"{clauses[2 * i]}."
        for i in range(count)
    ]


def verdict(rng: Random, label: str, film: str) -> str:
    """A sentence with the verdict on the whole film."""
    (template,) = rng.choice(t.VERDICTS[label])
    return PHRASE.format(
        template,
        film=film,
        who=rng.choice(t.RELATIVES),
        good=rng.choice(t.PRAISE),
        bad=rng.choice(t.BLAME),
        high=rng.choice("89"),
        low=rng.choice("123"),
    )


def opening(rng: Random, film: str) -> str:
    """A sentence that says nothing about how good the film is."""
    job, job2 = rng.sample(t.JOBS, 2)
    return PHRASE.format(
        rng.choice(t.NEUTRAL_OPENINGS),
        film=film,
        who=rng.choice(t.RELATIVES),
        day=rng.choice(t.DAYS),
        job=job,
        job2=job2,
        city=rng.choice(t.CITIES),
    )


def plain_review(rng: Random, label: str, film: str) -> list[str]:
    """A review whose sentences all agree."""
    start = [opening(rng, film)] if rng.random() < 0.5 else []
    body = aspect_sentences(rng, label, rng.randint(1, 3))
    judgement = [verdict(rng, label, film)]
    return start + (body + judgement if rng.random() < 0.7 else judgement + body)


def mixed_review(rng: Random, label: str, film: str) -> list[str]:
    """A review that begins the other way round and is decided by its last two sentences."""
    start = [opening(rng, film)] if rng.random() < 0.4 else []
    turn = rng.choice(t.TURNS[label])
    # One draw for both halves keeps both halves from evaluating the same aspect.
    against, decisive = rng.sample(t.ASPECTS, 2)
    return [
        *start,
        aspect_clause(rng, against, OTHER[label]) + ".",
        turn + aspect_clause(rng, decisive, label) + ".",
        verdict(rng, label, film),
    ]


def joined(sentences: list[str]) -> str:
    """The sentences as one text."""
    return sentence(" ".join(sentences))


def review(rng: Random, label: str, film: str) -> str:
    """A film review of two to five sentences that fits the label."""
    compose = mixed_review if rng.random() < 0.3 else plain_review
    return joined(compose(rng, label, film))


def review_row(rng: Random, label: str, write: bool) -> Conversation:
    """One row that asks for the label of a review, or for a review with a label."""
    if not write:
        return ((f"Review: {review(rng, label, rng.choice(t.FILMS))} Sentiment:", label),)
    film = rng.choice(t.FILMS)
    # A review that was asked for should not praise and blame at once.
    written = joined(plain_review(rng, label, film))
    return ((compose(rng, WRITE_PROMPTS, label, film), written),)


def reviews(rng: Random, n: int) -> list[Conversation]:
    """n review rows with balanced labels; one in three asks to write the review."""
    kinds = [(label, write) for write in (False, False, True) for label in OTHER]
    plan = [kinds[i % len(kinds)] for i in range(n)]
    rng.shuffle(plan)
    return [review_row(rng, label, write) for label, write in plan]
