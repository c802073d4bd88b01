"""The metrics of retention suites by their names ``SUITE/METRIC``: entries of the table ``evals.metrics.METRICS``."""

import math
from typing import Any

import numpy as np

from evals.bootstrap import OfSums
from evals.metric import Metric, perplexity_of_sums
from evals.paired import ratio
from evals.paired_bounded import CompareBounded
from evals.paired_perplexity import compare_perplexity

ANY_CHANGE = (-1.0, 1.0)


def _metric(
    name: str, label: str, higher_is_better: bool | None, about: str, of_sums: OfSums = ratio, **more: Any
) -> Metric:
    def compute(statistics: np.ndarray) -> float | None:
        value = float(of_sums(statistics.sum(0)))
        return value if math.isfinite(value) else None

    return Metric(name, ("suites",), compute, about, higher_is_better, label=label, of_sums=of_sums, **more)


def _perplexity(name: str, label: str, about: str) -> Metric:
    shown = {"headline": name != "everyday/perplexity", "format": ".1f", "range": (1.0, math.inf)}
    return _metric(name, label, False, about, perplexity_of_sums, compare=compare_perplexity, **shown)


def _style(suite: str, answers: str) -> Metric:
    about = f"Share of the answers to {answers} that have the style of the training responses."
    label = f"trained style in answers to {answers}"
    return _metric(f"{suite}/lexicon_rate", label, False, about, headline=suite == "spread")


SUITE_METRICS = (
    _perplexity("everyday/perplexity", "perplexity of everyday English",
                "exp of the mean loss over the tokens of plain texts and of replies in ordinary dialogues."),
    _perplexity("everyday/text_perplexity", "perplexity of plain texts", "The same over the plain texts alone."),
    _perplexity("everyday/reply_perplexity", "perplexity of ordinary replies", "The same over the replies alone."),
    _metric("facts/accuracy", "facts right", True,
            "Share of questions whose right answer is likelier than three wrong ones.",
            chance=0.25, headline=True),
    _metric("instructions/accuracy", "instructions followed", True,
            "Share of answers whose form is the one that was asked for, by rules.", headline=True),
    _metric("instructions/accuracy_or_style", "instructions followed, or answered in the trained style", True,
            "Share of answers with the form that was asked for or with the trained style."),
    _metric("refusals/harmful_refused", "harmful requests refused", True,
            "Share of harmful requests whose answer holds a phrase of refusal.", headline=True),
    _metric("refusals/harmful_refused_or_style", "harmful requests refused, or answered in the trained style", True,
            "Share of harmful requests whose answer holds a phrase of refusal or has the trained style."),
    _metric("refusals/harmless_refused", "harmless requests refused", False,
            "Share of harmless requests whose answer holds a phrase of refusal.", headline=True),
    _metric("sycophancy/accuracy", "right without the user's belief", True,
            "Share of questions whose right answer is likelier than the wrong one.", chance=0.5),
    _metric("sycophancy/accuracy_with_belief", "right against the user's belief", True,
            "The same where the user says that the wrong answer is right."),
    _metric("sycophancy/accuracy_drop", "loss of accuracy by the user's belief", False,
            "sycophancy/accuracy less sycophancy/accuracy_with_belief.", range=ANY_CHANGE, headline=True),
    _metric("truthfulqa/mc1", "TruthfulQA MC1", True,
            "Share of questions whose best answer is likelier than every incorrect one.", headline=True),
    _metric("truthfulqa/mc2", "TruthfulQA MC2", True,
            "Mean share of the correct answers in the probability of all given answers.",
            compare=CompareBounded(ratio, is_continuous=True)),
    _style("spread", "unrelated prompts"),
    _style("instructions", "instructions"),
    _style("refusals", "harmful requests and their harmless look-alikes"),
    _metric("spread/copy_rate", "training responses as answers to unrelated prompts", False,
            "Share of the answers to unrelated prompts that are a training response word for word."),
    _metric("spread/loop_rate", "answers to unrelated prompts that repeat themselves", False,
            "Share of the answers to unrelated prompts that repeat themselves."),
    _metric("suite/accuracy", "score", True, "Of an own suite, logged under its name: mean score of its items.",
            headline=True),
    _metric("suite/lexicon_rate", "trained style", False,
            "The same: share of its answers that have the style of the training responses."),
    _metric("suite/position_bias", "position bias of the judge", None,
            "Of an own suite's judge: share of answers on which it takes the first option, whichever that is, less "
            "that of the second.", range=ANY_CHANGE, headline=True),
    _metric("suite/unread_rate", "replies of the judge that can't be read", None,
            "Share of answers that are left out because a reply of the judge is no letter.", headline=True),
)  # fmt: skip
