"""The table of metrics: what each is computed from and how, and how reports, cards, the page and studies show it.

To add a metric, add one entry to ``METRICS``: it is then computed wherever its data is there, logged as
``base/NAME`` and ``test/NAME``, tagged on the registered version and shown by its label.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from evals import text_metrics
from evals.label_metrics import LABEL_METRICS
from evals.metric import MOST_NATS, NOT_NEGATIVE, AnswerData, Data, Metric, flags, perplexity_of_sums
from evals.paired import Difference, difference, ratio
from evals.paired_perplexity import compare_perplexity
from evals.preference_metrics import PREFERENCE_METRICS
from evals.repetition import repeats
from evals.suites.metrics import SUITE_METRICS


def evaluate(data: Data, source: Any) -> dict[str, float | None]:
    """Every metric of ``data``, in the order of the table, with the ends of its interval; None is undefined."""
    found: dict[str, float | None] = {}
    for metric in METRICS.values():
        if data in metric.data:
            found |= _values(metric, source)
    return found


def _values(metric: Metric, source: Any) -> dict[str, float | None]:
    value = metric.compute(source)
    found: dict[str, float | None] = dict(value) if isinstance(value, Mapping) else {metric.name: value}
    if metric.interval:
        low, high = metric.interval(source) or (None, None)
        found |= {f"{metric.name}_low": low, f"{metric.name}_high": high}
    return found


def defined(found: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that have a value."""
    return {key: float(value) for key, value in found.items() if value is not None}


def statistics(data: Data, source: Any) -> dict[str, np.ndarray]:
    """Statistics of each row, ``[rows, k]``, for every metric of ``data`` that has them, by name."""
    found: dict[str, np.ndarray | None] = {}
    for metric in in_order(data):
        each = metric.statistics(source) if metric.statistics else None
        found |= each if isinstance(each, Mapping) else {metric.name: each}
    return {name: each for name, each in found.items() if each is not None}


def entry(name: str) -> Metric | None:
    """The entry of a metric by its name: ``suite/METRIC`` is that of every own suite's ``NAME/METRIC``."""
    return METRICS.get(name) or METRICS.get(f"suite/{name.partition('/')[2]}")


def format_of(name: str) -> str:
    """The format specification of a metric's values."""
    known = entry(name)
    return known.format if known else ".3f"


def changes(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], seed: int = 0) -> dict[str, Difference]:
    """How much two models differ on the same rows, by metric, from the statistics of their rows.

    Args:
        seed: of resampled intervals.
    """
    found = {name: change(name, before[name], after[name], seed) for name in after if name in before}
    return {name: each for name, each in found.items() if each}


def change(name: str, before: np.ndarray, after: np.ndarray, seed: int = 0) -> Difference | None:
    """The same of one metric; one of several of an entry, such as ``recall_LABEL``, is a ratio of sums."""
    known = entry(name)
    return known.difference(before, after, seed) if known else difference(before, after, seed=seed)


def both_sides(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Metrics of a base and of its tuned model as those of one run: ``base/NAME`` and ``test/NAME``."""
    sides = (("base", before), ("test", after))
    return {f"{side}/{name}": float(value) for side, found in sides for name, value in found.items()}


def change_metrics(found: Mapping[str, Difference]) -> dict[str, float]:
    """Changes as metrics of a run: ``change/NAME``, and the ends of its interval as ``_low`` and ``_high``."""
    keyed: dict[str, float | None] = {}
    for name, each in found.items():
        keyed |= {f"change/{name}": each.change, f"change/{name}_low": each.low, f"change/{name}_high": each.high}
    return defined(keyed)


def in_order(*data: Data) -> list[Metric]:
    """The metrics of any of ``data`` (of all where none is named) by rank, those without one in the table's order."""
    chosen = [metric for metric in METRICS.values() if not data or set(data) & set(metric.data)]
    return sorted(chosen, key=lambda metric: math.inf if metric.rank is None else metric.rank)


def is_tag(key: str) -> bool:
    """Whether registered versions have the logged metric as a tag: as its entry says; all that a suite logged."""
    return METRICS[key].tag if key in METRICS else "/" in key


def for_studies(level: Literal["record", "table", "plot"], *data: Data) -> list[Metric]:
    """The metrics of any of ``data`` that a study uses at least this far, in the same order."""
    levels = ("", "record", "table", "plot")
    return [metric for metric in in_order(*data) if levels.index(metric.study) >= levels.index(level)]


def short_labels() -> dict[str, str]:
    """Short label of every metric by its name, by rank: what the registry's lists and the page show."""
    return {metric.name: metric.short_label or metric.shown_as for metric in in_order()}


def share(hits: Iterable[bool]) -> float:
    """The share of true ones among at least one."""
    every = list(hits)
    return sum(every) / len(every)


def _of_flags(rows: np.ndarray | None) -> float | None:
    return None if rows is None else float(ratio(rows.sum(0)))


def _defined_ratio(statistics: np.ndarray) -> float | None:
    found = float(ratio(statistics.sum(0)))
    return None if math.isnan(found) else found


def _echoes(data: AnswerData) -> np.ndarray:
    return flags(map(text_metrics.is_echo, data.prompts, data.references, data.answers))


def _copies(data: AnswerData) -> np.ndarray | None:
    if not data.training_responses:
        return None
    return flags(text_metrics.copies(data.references, data.answers, data.training_responses))


def _loops(data: AnswerData) -> np.ndarray:
    return flags(map(repeats, data.references, data.answers))


def _content(data: AnswerData) -> np.ndarray:
    return text_metrics.content_kept(data.prompts, data.references, data.answers, data.has_style)


def _misfits(data: AnswerData) -> np.ndarray:
    return flags(map(text_metrics.is_misfit, data.references, data.answers))


def _in_style(data: AnswerData) -> np.ndarray | None:
    return flags(map(data.has_style, data.answers)) if data.has_style else None


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        # Generated answers to held-out rows, in the order of reports
        Metric(
            "loss", ("answers",), lambda data: data.loss,
            "Mean cross-entropy of the held-out responses' tokens, in nats.",
            False, NOT_NEGATIVE, format=".2f", rank=13, statistics=lambda data: data.row_losses,
        ),
        Metric(
            "perplexity", ("answers",), lambda data: math.exp(min(data.loss, MOST_NATS)),
            "exp(loss).",
            False, (1.0, math.inf), format=".1f", rank=17, headline=True, study="table",
            statistics=lambda data: data.row_losses, of_sums=perplexity_of_sums, compare=compare_perplexity,
        ),
        Metric(
            "train_loss", ("answers",), lambda data: data.train_loss,
            "The same loss on training rows, of as many rows as are held out.",
            False, NOT_NEGATIVE, format=".2f",
        ),
        Metric(
            "chrf", ("answers",), lambda data: text_metrics.chrf(data.references, data.answers),
            "Corpus chrF of the answers against the references (Popovic 2015; sacrebleu's defaults).",
            True, (0.0, 100.0), "chrF", format=".1f", rank=2, headline=True, study="plot",
            statistics=lambda data: text_metrics.chrf_statistics(data.references, data.answers),
            of_sums=text_metrics.chrf_of_sums,
        ),
        Metric(
            "echo_rate", ("answers",), lambda data: _of_flags(_echoes(data)),
            "Share of answers that contain their prompt, but for one word at most, where the reference does not.",
            False, label="echo", format=".2f", rank=14, headline=True, study="table", statistics=_echoes,
        ),
        Metric(
            "loop_rate", ("answers",), lambda data: _of_flags(_loops(data)),
            "Share of answers that repeat themselves, in words, letters or signs, where the reference does not.",
            False, label="loop", format=".2f", rank=15, headline=True, study="plot",
            statistics=_loops,
        ),
        Metric(
            "stop_rate", ("answers",), lambda data: share(data.stopped),
            "Share of answers that the model ended itself, before max_new_tokens.",
            True, label="stop", format=".2f", rank=16, headline=True, study="plot",
            statistics=lambda data: flags(data.stopped),
        ),
        Metric(
            "distinct_2", ("answers",), lambda data: text_metrics.distinct_2(data.answers),
            "Distinct word pairs over all word pairs of all answers (Li et al. 2016).",
            True, format=".2f", study="record",
            statistics=lambda data: text_metrics.distinct_2_statistics(data.answers),
        ),
        Metric(
            "copy_rate", ("answers",), lambda data: _of_flags(_copies(data)),
            "Share of answers that are the training response of another prompt, or nearly.",
            False, format=".2f", statistics=_copies,
        ),
        Metric(
            "prompts_cut", ("answers",), lambda data: float(sum(data.prompt_cut)),
            "Number of prompts that lost their beginning because they were too long for the model.",
            False, NOT_NEGATIVE, format=".0f",
        ),
        Metric(
            "length_ratio", ("answers",), lambda data: text_metrics.length_ratio(data.references, data.answers),
            "Words of all answers over words of all references.",
            None, NOT_NEGATIVE, format=".2f",
            statistics=lambda data: text_metrics.word_counts(data.references, data.answers),
        ),
        Metric(
            "misfit_rate", ("answers",), lambda data: _of_flags(_misfits(data)),
            "Share of answers that are shorter than a third or longer than three times their reference.",
            False, format=".2f", statistics=_misfits,
        ),
        Metric(
            "content_rate", ("answers",),
            lambda data: _defined_ratio(_content(data)),
            "F1 of the content words that references took over from their prompts, in order; 0 for a changed negation.",
            True, label="content kept", format=".2f", rank=3, headline=True, study="plot",
            statistics=_content,
        ),
        Metric(
            "lexicon_rate", ("answers",), lambda data: _of_flags(_in_style(data)),
            "Share of answers with a word of the pirate lexicon; only where most references have one.",
            True, label="pirate lexicon", short_label="lexicon", format=".2f", rank=1, headline=True, study="plot",
            statistics=_in_style,
        ),
        *PREFERENCE_METRICS,
        *LABEL_METRICS,
        *SUITE_METRICS,
    )
}  # fmt: skip
