"""The generator of the bundled film reviews: run ``python -m data.synthetic.film_reviews`` to write them anew.

Each review has a rating, and the rating decides how it is built. At 10 and 1 every sentence agrees. Towards the
middle more and more contradicts the verdict, until at 7 and 4 only the order of the sentences, a "but" or a "not"
shows the side. About half of the reviews have a sentence on the film as a whole; a third of these sentences is
never trained on. So a model that knows the training sentences by heart does not know the test. Where every review had
such a sentence, a small language model learned nothing else.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from data.duplicates import fingerprint
from data.synthetic.phrases import PHRASE, sentence
from data.synthetic.tables import load

t = load("film_review")

FOLDER = Path(__file__).parent.parent / "sets" / "reviews"
SEED = 11
ROWS = {"train": 3200, "test": 1200}
#: Ratings from the clearest to the mildest, and how many of 100 reviews of a label have each.
RATINGS = ((1, 2, 3, 4), (10, 9, 8, 7))
WEIGHTS = (28, 26, 24, 22)
FEWEST_WORDS, MOST_WORDS = 15, 60
VERDICT_SHARE = 0.5  # a review whose remarks are as many for as against always has one
NEGATED_SHARE = 0.15
TRIGGER_SHARE = 0.15

#: From clear to mild: numbers of remarks for the verdict, of remarks against it and of concessions, one of each is
#: drawn; and the lists that the verdict comes from.
BODIES = (
    ((2, 3, 4), (0,), (0,), (t.STRONG, t.STRONG, t.STRONG, t.IRONY)),
    ((2, 3), (0,), (0, 0, 1), (t.STRONG, t.STRONG, t.HOPES, t.IRONY)),
    ((2, 2, 3), (0, 0, 1), (0, 1), (t.MILD, t.MILD, t.HOPES)),
    ((1, 2, 2), (0, 0, 1), (0, 1, 1), (t.MILD,)),
)
Slots = dict[str, str]


@dataclass(frozen=True)
class Writer:
    """Writes one review: its random numbers, its side (1 for praise), its slots, whose sentences it may use, and the
    frames for aspects that it has not used yet.
    """

    rng: Random
    side: int
    slots: Slots
    is_test: bool
    openers: list[str]

    def judgement(self, tables: tuple[Sequence[str], Sequence[str]]) -> str:
        """A whole sentence of this side: every third one is for the test."""
        allowed = [text for i, text in enumerate(tables[1 - self.side]) if (i % 3 == 2) == self.is_test]
        return self.filled(self.rng.choice(allowed))

    def filled(self, template: str, **more: str) -> str:
        """The template with its slots filled."""
        return PHRASE.vformat(template, (), {**self.slots, **more})

    def clause(self, aspect: tuple, side: int, templates: list[str]) -> str:
        """A clause about one aspect, without a capital and a full stop."""
        subject, present, past, praise, blame = aspect
        verb = {"is": present, "was": past}[self.slots["tense"]]
        negated = self.rng.random() < NEGATED_SHARE
        return self.filled(
            self.rng.choice(t.NEGATED) if negated else templates.pop(),
            s=subject,
            v=verb,
            w=self.rng.choice(praise if side else blame),
            n=self.rng.choice(t.MILD_BAD if side else t.MILD_GOOD),
            c=self.rng.choice(t.CERTAIN),
        )

    def remark(self, aspect: tuple, side: int) -> str:
        """A sentence about one aspect."""
        return self.clause(aspect, side, self.openers) + "."

    def concession(self, against: tuple, decisive: tuple) -> str:
        """A sentence, or two, about two aspects, of which the second decides."""
        short = self.rng.sample(t.PLAIN[: t.SHORT], t.SHORT)
        a, b = self.clause(against, 1 - self.side, short), self.clause(decisive, self.side, short)
        return self.filled(self.rng.choice(t.CONCESSIONS), a=a, b=b)

    def body(self, mildness: int) -> list[str]:
        """The sentences of opinion, from ``mildness`` 0 (all agree) to 3 (nearly as much against as for)."""
        for_it, against, concessions, verdicts = BODIES[mildness]
        aspects = iter(self.rng.sample(t.ASPECTS, 8))
        for_it, against, concessions = (self.rng.choice(counts) for counts in (for_it, against, concessions))
        parts = [self.remark(next(aspects), 1 - self.side) for _ in range(against)]
        parts += [self.concession(next(aspects), next(aspects)) for _ in range(concessions)]
        parts += [self.remark(next(aspects), self.side) for _ in range(for_it)]
        if for_it + concessions > against and self.rng.random() >= VERDICT_SHARE:
            return parts
        end = self.judgement(self.rng.choice(verdicts))
        return [*parts, end] if self.rng.random() < 0.75 else [end, *parts]


def review(rng: Random, rating: int, is_test: bool) -> str:
    """One review of 15 to 60 words."""
    side = int(rating > 5)
    while True:
        writer = Writer(rng, side, _slots(rng), is_test, rng.sample(t.PLAIN, len(t.PLAIN)))
        frame = rng.sample(t.OCCASIONS, rng.choice((0, 1, 1))) + rng.sample(t.CONTENTS, rng.choice((0, 1)))
        if rng.random() < TRIGGER_SHARE:
            frame.append(rng.choice(t.TRIGGERS))
        parts = [writer.filled(text) for text in frame] + writer.body(RATINGS[side].index(rating))
        text = sentence(" ".join(parts))
        if FEWEST_WORDS <= len(text.split()) <= MOST_WORDS:
            return text


def _slots(rng: Random) -> Slots:
    job, job2 = rng.sample(t.JOBS, 2)
    return {
        "film": rng.choice(t.FILMS),
        "who": rng.choice(t.WHO),
        "day": rng.choice(t.DAYS),
        "city": rng.choice(t.CITIES),
        "job": job,
        "job2": job2,
        "tense": rng.choice(("is", "was")),
    }


def rows(seed: int = SEED) -> dict[str, list[dict]]:
    """The rows of each file: text, label and rating, in a mixed order, no text twice."""
    rng = Random(seed)
    seen: set[bytes] = set()
    return {name: list(_rows(rng, n, name == "test", seen)) for name, n in ROWS.items()}


def _rows(rng: Random, n: int, is_test: bool, seen: set[bytes]) -> Iterator[dict]:
    plan = [rating for ratings in RATINGS for rating, part in zip(ratings, _parts(n // 2), strict=True)
            for _ in range(part)]  # fmt: skip
    rng.shuffle(plan)
    for rating in plan:
        text = review(rng, rating, is_test)
        while fingerprint(text) in seen:
            text = review(rng, rating, is_test)
        seen.add(fingerprint(text))
        yield {"text": text, "label": "positive" if rating > 5 else "negative", "rating": rating}


def _parts(n: int) -> list[int]:
    """``n`` divided by the weights."""
    parts = [n * weight // sum(WEIGHTS) for weight in WEIGHTS]
    parts[0] += n - sum(parts)
    return parts


def main() -> None:
    """Write the files and print the lines of the card's table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, made in rows().items():
        raw = "".join(json.dumps(row) + "\n" for row in made).encode()
        (FOLDER / f"{name}.jsonl").write_bytes(raw)
        print(f"| {name}.jsonl | {len(made)} | {sha256(raw).hexdigest()} |")


if __name__ == "__main__":
    main()
