"""What classifiers say of one text: the labels with their probabilities, version beside version."""

from collections.abc import Sequence

from demo.view.html import Markup, fragment

#: Kind of versions that label texts and answer no prompts.
CLASSIFIER = "tfidf"


def labels(answers: Sequence[tuple[str, Sequence[tuple[str, float]], str]]) -> Markup:
    """One panel a version: (reference, (label, probability 0 to 1) likeliest first, what went wrong)."""
    sides = [(name, [(label, f"{100 * p:.1f}", f"{p:.3f}") for label, p in found], error)
             for name, found, error in answers]  # fmt: skip
    return fragment("classifier.html", sides=sides)
