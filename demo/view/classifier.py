"""What classifiers say of one text: the labels with their probabilities, version beside version."""

from collections.abc import Sequence
from dataclasses import dataclass

from demo.view.html import Markup, fragment

#: Kind of versions that label texts and answer no prompts.
CLASSIFIER = "tfidf"


@dataclass(frozen=True)
class Answer:
    """What the version ``name`` says of a text: (label, probability 0 to 1), the likeliest first.

    ``problem``: why it says nothing; ``note``: what its probabilities are.
    """

    name: str
    labels: Sequence[tuple[str, float]]
    problem: str = ""
    note: str = ""


def labels(answers: Sequence[Answer]) -> Markup:
    """One panel a version."""
    sides = [(each, [(label, f"{100 * p:.1f}", f"{p:.3f}") for label, p in each.labels]) for each in answers]
    return fragment("classifier.html", sides=sides)
