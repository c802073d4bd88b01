"""Training on preferences: load, tokenize, measure the start, train, measure the tuned model, record, register."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from data.chat_format import fix_date
from data.errors import UserError
from data.preferences import Preference
from evals import chosen_metrics, metrics
from evals.generation import Scores
from evals.preference_metrics import PreferenceData
from evals.primary import choose
from evals.suites import table as suites
from evals.verdict import Finding, Verdict
from inference.locations import ModelLocation
from recipes.dpo import claims as own_claims
from recipes.dpo import curves, verdict
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import PreferenceRows, load, record_rows
from recipes.dpo.types import PreferenceJob
from recipes.sft import run as sft
from recipes.sft import stop_on
from recipes.sft.run import Changes, Recipe
from recipes.sft.types import Outcome
from registry.references import scaled
from registry.resolver import Resolver
from registry.runs import Run
from train import base_model, defaults, distributed, trainable
from train.encoding import Rated, encode_pairs, encode_rated
from train.finetune import REFERENCE, Finetuned, LoadedBase, load_base
from train.losses import PREFERENCE_LOSSES, log_probs


def prepare(config: DpoConfig, day: date | None = None, folder: Path | None = None) -> PreferenceJob:
    """Load the preferences and what training starts from, and tokenize: whatever is wrong with the input shows here.

    Args:
        day: the date that stands in prompts where the chat template holds one; None for today.
        folder: that of the run, which keeps a judge's replies.

    Raises:
        UserError: a row or the start can't be used.
    """
    distributed.uses_fsdp(config.distributed, config.method)
    rows = load(config)
    without = () if sft.has_style(rows.test) else ("lexicon_rate",)
    primary = choose(config.primary, "preferences", "answers", without=without).name
    shown = chosen_metrics.choose(config.metrics, ("answers", "preferences"), primary, without)
    start = distributed.first_alone(lambda: _start(config))
    base = load_base(config, thoughts=any(row.has_thoughts for row in rows.train), start=start)
    day = day or datetime.now().date()
    written = day.isoformat() if fix_date(base.tokenizer, day) else ""
    chosen = suites.choose(sft.held_out(rows, config, folder), config.suites, base.parameters)
    claimed = own_claims.read(config, rows, chosen)
    encoded = tuple(_encode(each, base) for each in rows.preferences)
    examples, checks = ([one for row in each for one in row.sequences] for each in encoded[:2])
    return PreferenceJob(
        _complete(config, base),
        rows,
        base,
        examples,
        checks,
        primary,
        shown,
        chosen,
        written,
        claimed,
        stop_on.keeps(config, claimed),
        kind="dpo",
        start=start.info.reference if start else "",
        preferences=(encoded[0], encoded[1], encoded[2]),
        loss=PREFERENCE_LOSSES[config.loss](config.settings),
        before=log_probs(base.model, encoded[2]),
    )


def _start(config: DpoConfig) -> ModelLocation | None:
    resolver = Resolver(lambda base: base_model.resolve(base).folder)
    plain, _ = scaled(config.start)
    if plain != config.start:  # the adapter on disk is not the scaled one
        raise UserError(f"start={config.start} is scaled, which is for inference only; start from {plain}")
    found = resolver.place(config.start) if config.start else None
    if found and found.remote:
        raise UserError(f"start={config.start} is a model behind an API: its weights are not here")
    if found and found.info.kind == "lora":
        given = [n for n in ("rank", "alpha", "dropout", "targets") if getattr(config, n) != getattr(DpoConfig, n)]
        if given or config.method != "lora":
            raise UserError(
                f"start={config.start} is an adapter with its own {', '.join(given) or 'method'}; leave it out"
            )
    return found


def _complete(config: DpoConfig, base: LoadedBase) -> DpoConfig:
    """The settings with defaults for the size of the base, and those of an adapter that is trained further."""
    epochs = config.epochs or defaults.size_class(base.parameters).preference_epochs
    lr = config.lr or defaults.complete(config, base.parameters).lr * config.lr_share
    weight = config.settings.sft_weight
    return replace(config, epochs=epochs, lr=lr, sft_weight=weight, **trainable.adapter_settings(base.model))


def _encode(rows: Any, base: LoadedBase) -> list[Any]:
    pairs = all(isinstance(row, Preference) for row in rows)
    return (encode_pairs if pairs else encode_rated)(rows, base.tokenizer, base.max_length)


def add_metrics(job: PreferenceJob, tuned: Finetuned, before: Scores, after: Scores) -> tuple[Scores, Scores]:
    """The scores of the start and of the tuned model with the metrics of held-out preferences."""
    found = log_probs(tuned.model, job.preferences[2])
    return with_preferences(job, before, job.before), with_preferences(job, after, found)


def decide(
    job: PreferenceJob, tuned: Finetuned, before: Scores, after: Scores, changes: Changes, of_suites: Sequence[Finding]
) -> Verdict:
    """The verdict on training on preferences; ``of_suites``: the side effects."""
    return verdict.decide(changes, before, after, _rows(job), job.rows.test, job.config.seed, of_suites)


def _rows(job: PreferenceJob) -> PreferenceRows:
    assert isinstance(job.rows, PreferenceRows)
    return job.rows


def with_preferences(job: PreferenceJob, scores: Scores, found: np.ndarray) -> Scores:
    """``scores`` with the metrics of held-out preferences.

    Args:
        found: log-probabilities of the two sequences of each test row under the model, ``[rows, 2]`` in nats.
    """
    data = preference_data(job, scores, found)
    return replace(
        scores,
        values={**scores.values, **metrics.defined(metrics.evaluate("preferences", data))},
        statistics={**scores.statistics, **metrics.statistics("preferences", data)},
    )


def preference_data(job: PreferenceJob, scores: Scores, found: np.ndarray) -> PreferenceData:
    """What the metrics of held-out preferences are computed from.

    A rated answer is a pair whose other side has no tokens.
    """
    test = job.preferences[2]
    tokens = np.array([[one.trained for one in row.sequences] for row in test])
    sides = np.ones_like(tokens)
    for i, row in enumerate(test):
        if isinstance(row, Rated):  # its first sequence is the answer, its second another row's
            sides[i] = 0
            tokens[i] = tokens[i, 0] * np.array([row.good, not row.good])
    log_probs_ = [np.where(sides, of, of[:, :1] * (tokens > 0)) for of in (found, job.before)]
    return PreferenceData(
        log_probs_[0],
        log_probs_[1],
        tokens,
        _config(job).beta,
        [each.text for each in scores.answers],
        [row.response for row in job.rows.test],
    )


def record_more(job: PreferenceJob, run: Run, outcome: Outcome) -> None:
    """The reference log-probabilities, which preferences were turned round, the votes, and curves of the rewards."""
    path = run.folder / REFERENCE
    if path.is_file():
        run.file(path)
    rows, config = _rows(job), _config(job)
    run.tags({"loss": config.loss})
    record_rows(config, rows, run)
    picture = run.folder / curves.PICTURE
    curves.write(run.history, picture, f"{config.register_as}: {config.loss}, {len(rows.preferences[0])} preferences")
    run.file(picture)


def _config(job: PreferenceJob) -> DpoConfig:
    assert isinstance(job.config, DpoConfig)
    return job.config


PREFERENCES = Recipe(prepare, decide, add_metrics, record_more)
"""Training on preferences."""
