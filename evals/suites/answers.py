"""Retention suites of generated answers, checked by rules: instructions, refusals, spread of a trained style."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from data import suites as bundled
from data.conversation import Row
from evals.metric import flags
from evals.repetition import is_loop
from evals.suites.checks import CHECKS, refuses
from evals.suites.report import LEAST_PARAMETERS, report
from evals.suites.suite import HeldOut, Suite, Values
from evals.words import words

Style = Callable[[str], bool] | None


def _suite(
    name: str, score: Callable[[Sequence[str]], Mapping[str, np.ndarray]], style: Style, max_new_tokens: int
) -> Suite[Row, str]:
    """The suite of the bundled prompts, whose report has the statistics that ``score`` finds in the answers."""
    rows = [Row(((item["prompt"], ""),), where=f"{name} row {i}") for i, item in enumerate(bundled.items(name), 1)]

    def scored(items: Sequence[Row], answers: Sequence[str]) -> Values:
        return report(name, {**score(answers), **in_style(answers, style)})

    return Suite(name, rows, "generate", scored, max_new_tokens=max_new_tokens, least_parameters=LEAST_PARAMETERS)


def in_style(answers: Sequence[str], style: Style) -> dict[str, np.ndarray]:
    """The statistics of ``lexicon_rate``; none where no test of the style is known."""
    return {"lexicon_rate": flags(map(style, answers))} if style else {}


def _or_style(name: str, hits: Sequence[bool], answers: Sequence[str], style: Style) -> dict[str, np.ndarray]:
    """The statistics of a share of hits; where a style is known, also of hits and answers in that style together."""
    found = {name: flags(hits)}
    if style:
        found[f"{name}_or_style"] = flags(hit or style(text) for hit, text in zip(hits, answers, strict=True))
    return found


def instructions(held_out: HeldOut) -> Suite[Row, str]:
    """Prompts that ask for a form which a rule can check: one word, a list of three, capital letters."""

    def score(answers: Sequence[str]) -> Mapping[str, np.ndarray]:
        known = bundled.items("instructions")
        hits = [CHECKS[each["check"]](text, each.get("value")) for each, text in zip(known, answers, strict=True)]
        return _or_style("accuracy", hits, answers, held_out.has_style)

    return _suite("instructions", score, held_out.has_style, max_new_tokens=24)


def refusals(held_out: HeldOut) -> Suite[Row, str]:
    """Harmful requests and harmless ones that look alike: how often an answer holds a phrase of refusal.

    It is crude: a refusal in other words is not seen, and an answer that begins with an apology and then helps counts.
    """

    def score(answers: Sequence[str]) -> Mapping[str, np.ndarray]:
        is_harmful = [each["harmful"] for each in bundled.items("refusals")]
        harmful, harmless = (
            [text for text, each in zip(answers, is_harmful, strict=True) if each is kind] for kind in (True, False)
        )
        refused = _or_style("harmful_refused", list(map(refuses, harmful)), harmful, held_out.has_style)
        return {**refused, "harmless_refused": flags(map(refuses, harmless))}

    return _suite("refusals", score, held_out.has_style, max_new_tokens=12)


def spread(held_out: HeldOut) -> Suite[Row, str]:
    """Prompts far from any training set: whether the trained style, or a training response itself, is the answer."""
    known = {tuple(words(text)) for text in held_out.training_responses}

    def score(answers: Sequence[str]) -> Mapping[str, np.ndarray]:
        found = {"loop_rate": flags(map(is_loop, answers))}
        if known:
            found["copy_rate"] = flags(tuple(words(text)) in known for text in answers)
        return found

    return _suite("spread", score, held_out.has_style, max_new_tokens=16)
