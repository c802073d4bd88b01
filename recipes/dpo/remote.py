"""Training on preferences by a job at an OpenAI-compatible API: checked, priced, submitted once, followed, registered.

No chat API returns the log-probabilities of given answers, so that the models are measured by their own answers to the
held-out prompts: reward accuracy and margin are unknown.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.chat_template import messages_of
from data.conversation import Row
from data.errors import UserError
from data.formats import openai, preferences
from data.preferences import Preference
from evals import chosen_metrics, metrics
from evals.generation import Answer, Scores
from evals.metric import AnswerData
from evals.preference_metrics import PreferenceData
from evals.primary import choose
from evals.verdict import Verdict
from openai_jobs import jobs, prices
from openai_jobs.jobs import JobRequest
from openai_jobs.requests import ChatRequest
from openai_jobs.token_counter import longest
from recipes import claims, preflight
from recipes.api_job import FOLDER, ApiJob, suffix_of
from recipes.dpo import claims as own_claims
from recipes.dpo import verdict
from recipes.dpo.config import DpoConfig
from recipes.dpo.data import PreferenceRows, load, record_rows
from recipes.html_report.facts import metric_lines
from recipes.html_report.screen import metrics_table
from recipes.preflight import JobTokens, Preflight
from recipes.promotion import promote
from recipes.resume import require_same
from recipes.run_names import columns
from recipes.sft import report
from recipes.sft.data import has_style, style_tag
from recipes.sft.record import inputs_of
from registry import evaluation_run, lineage, registration, row_statistics, versions
from registry.runs import Run

FILES = ("train.jsonl", "validation.jsonl")
#: Passes by which a job is priced whose number of them the API chooses: OpenAI's own default for few rows.
ASSUMED_EPOCHS = 3
#: The metrics of generated answers alone, of those of preferences.
OF_ANSWERS = ("answer_words", "rouge1_recall")


@dataclass(frozen=True)
class RemoteOutcome:
    """Base and tuned model on the held-out rows to which both answered (``rows``)."""

    rows: list[Row]
    before: Scores
    after: Scores
    verdict: Verdict
    changes: dict[str, Any]
    results: Sequence[Any]


def tune(config: DpoConfig, run: Run) -> Iterator[str]:
    """Check, price, submit, follow, evaluate, record and register; yields the lines that are printed.

    Raises:
        UserError: a mistake that the user can correct, or a job that failed; nothing is registered then.
    """
    rows = load(config)
    without = () if has_style(rows.test) else ("lexicon_rate",)
    primary = choose(config.primary, "answers", without=without).name
    shown = chosen_metrics.choose(config.metrics, ("answers", "preferences"), primary, without)
    claimed = claims.read(config.claims, own_claims.DEFAULTS, _measured(rows))
    with closing(ApiJob(config)) as api:
        found = check(rows, config, api)
        yield "\n".join(["Preflight", *(f"  {line}" for line in found.lines())])
        found.require()
        require_same(run, rows.digests())
        paths = _write(rows, run)
        request = _request(config, rows, run, ("(training file)", "(validation file)"))
        plan = f"Job     on {api.base} at {api.place}: {json.dumps(request.body())}"
        _record_start(config, rows, found, claimed, run)
        yield "\n".join([_describe(rows), *claims.describe(claimed, config.claims), plan])
        if config.dry_run:
            run.text(f"# Dry run\n\nNothing was sent.\n\n{chr(10).join(found.lines())}\n\n{plan}\n", "dry_run.md")
            run.tags({"dry_run": "true"})
            yield "\nNothing was trained or sent (dry_run=true); the run keeps dry_run.md and the files"
            return
        api.submit(run, paths, lambda files: _request(config, rows, run, files))
        base = _answers(rows.test, api.base, config, api)
        api.follow()
        model = api.models[max(api.models)]
        outcome = _outcome(config, rows, base, _answers(rows.test, model, config, api), claimed)
        outcome = chosen_metrics.select_outcome(outcome, shown)
        run.require_server()
        _record(config, run, outcome)
        yield _register(config, rows, run, outcome, primary, api, shown)


def _measured(rows: PreferenceRows) -> dict[str, tuple[float, float]]:
    """The range of every metric that is measured in pairs, by name."""
    found = {each.name: each.range for each in metrics.in_order("answers") if each.statistics}
    for name in ("loss", "perplexity", *(() if has_style(rows.test) else ("lexicon_rate",))):
        found.pop(name)
    return {**found, **{name: metrics.METRICS[name].range for name in OF_ANSWERS}}


def check(rows: PreferenceRows, config: DpoConfig, api: ApiJob) -> Preflight:
    """The rows by the rules of an API's training file, and what the job costs; nothing is read or sent."""
    pairs = [*rows.preferences[0], *rows.preferences[1]]
    special = re.compile("|".join(map(re.escape, api.counter.special_tokens)))
    lengths = [max(api.counter.count(side) for side in _sides(row)) for row in pairs]
    most = config.max_length if api.is_local else longest(api.base)
    errors = _too_few(rows) + [
        *_faulty([row for row in pairs if any(map(special.search, _texts(row)))], "hold a special token in their text"),
        *_faulty([row for row, n in zip(pairs, lengths, strict=True) if n > most], f"are longer than {most:,} tokens"),
    ]
    trained = sum(api.counter.count(side) for row in rows.preferences[0] for side in _sides(row))
    prompts = sum(api.counter.count(Row(row.turns, row.system)) for row in rows.test)
    epochs = config.epochs or ASSUMED_EPOCHS
    passes = f"{epochs} epochs" + ("" if config.epochs else " (the API chooses their number; this is a guess)")
    answers = 2 * len(rows.test) * config.max_new_tokens
    tokens = JobTokens(trained * epochs, 2 * prompts, answers, passes, api.counter.how)
    price = prices.find(api.base, config.prices)
    return preflight.with_cost(Preflight(errors, [], []), tokens, config, price, api.endpoint)


def _sides(row: Preference) -> tuple[Row, Row]:
    """The conversation with the chosen, and with the rejected answer."""
    return Row(row.turns, row.system), Row(row.with_answer(row.rejected).turns, row.system)


def _texts(row: Preference) -> list[str]:
    return [row.system or "", row.rejected, *sum(row.turns, ())]


def _too_few(rows: PreferenceRows) -> list[str]:
    count = len(rows.preferences[0])
    return [f"{count} pairs are too few; OpenAI trains on {openai.LEAST_ROWS} or more"] * (count < openai.LEAST_ROWS)


def _faulty(rows: Sequence[Preference], what: str) -> list[str]:
    return [f"{len(rows):,} pairs {what} (the first: {rows[0].where})"] if rows else []


def _write(rows: PreferenceRows, run: Run) -> list[Path]:
    folder = run.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in FILES]
    for path, each in zip(paths, rows.preferences, strict=False):
        openai.write_lines(map(preferences.openai_line, each), path)
        run.file(path, FOLDER)
    return paths


def _request(config: DpoConfig, rows: PreferenceRows, run: Run, files: Sequence[str]) -> JobRequest:
    given = {"beta": config.beta, **config.given_hyperparameters()}
    digest = rows.digests()["dataset_digest"]
    suffix = suffix_of(config.register_as)
    return JobRequest(run.run_id, config.remote_model, (files[0], files[1]), config.epochs, given, config.seed, suffix,
                      {"dataset_digest": digest}, "dpo")  # fmt: skip


def _describe(rows: PreferenceRows) -> str:
    learned, checks, test = map(len, rows.preferences)
    line = f"Rows    {learned} pairs to train on, {checks} for the validation loss, {test} to report ({rows.test_name})"
    return "\n".join([line, *(f"Note    {note}" for note in rows.notes)])


def _record_start(config: DpoConfig, rows: PreferenceRows, found: Preflight, claimed: claims.Claims, run: Run) -> None:
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key != "resume"}
    run.params(settings)
    run.text(json.dumps(settings, indent=1), "config.json")
    run.log(0, {f"preflight/{name}": value for name, value in found.numbers.items()})
    run.tags({**rows.digests(), **lineage.code_state(), "provider": config.provider, "loss": config.loss,
              **columns(config.remote_model, config.dataset, config.rate)})  # fmt: skip
    run.datasets(inputs_of(rows, config.dataset))
    record_rows(config, rows, run)
    claims.record_start(claimed, run)


def _answers(rows: Sequence[Row], model: str, config: DpoConfig, api: ApiJob) -> list[Answer | None]:
    """The model's answer to each row's last prompt; None where it could not be had."""
    requests = [
        ChatRequest(
            row.where, model, tuple(messages_of(row.turns, row.system)[:-1]), config.max_new_tokens, config.seed
        )
        for row in rows
    ]
    api.output(f"Predict {len(rows)} rows by {model}")
    errors = api.complete(requests)
    if len(errors) == len(rows):
        raise UserError(f"{model} answered none of {len(rows)} prompts: {next(iter(errors.values()))}")
    assert api.responses
    found = []
    for request in requests:
        reply = api.responses.replies.get(request.digest)
        choice = reply["choices"][0] if reply else None
        text = (choice["message"].get("content") or choice["message"].get("refusal") or "") if choice else ""
        found.append(Answer(text.strip(), choice["finish_reason"] == "stop") if choice else None)
    return found


def _outcome(
    config: DpoConfig,
    rows: PreferenceRows,
    base: Sequence[Answer | None],
    tuned: Sequence[Answer | None],
    claimed: claims.Claims,
) -> RemoteOutcome:
    both = [each for each in zip(rows.test, base, tuned, strict=True) if each[1] and each[2]]
    if not both:
        raise UserError("no held-out prompt was answered by both models: nothing can be compared")
    test = [row for row, _, _ in both]
    before, after = (_score(test, [each[side] for each in both], rows.train) for side in (1, 2))  # type: ignore[misc]
    changes = metrics.changes(before.statistics, after.statistics, config.seed)
    results = claims.decide(claimed, before.statistics, after.statistics, config.seed)
    found = claims.quoted(verdict.decide(changes, before, after, rows, test, config.seed), results)
    return RemoteOutcome(test, before, after, found, changes, results)


def _score(rows: Sequence[Row], answers: list[Answer], trained: Sequence[Row]) -> Scores:
    texts, references = [each.text for each in answers], [row.response for row in rows]
    prompts, known = [row.prompt for row in rows], [row.response for row in trained]
    stopped, uncut = [each.stopped for each in answers], [False] * len(rows)
    data = AnswerData(prompts, references, texts, stopped, uncut, known, math.nan, None, has_style(rows))
    none = np.zeros((len(rows), 2))
    of_answers = PreferenceData(none, none, none, 1.0, texts, references)
    values = metrics.defined(metrics.evaluate("answers", data))
    statistics = metrics.statistics("answers", data)
    for name in OF_ANSWERS:
        entry = metrics.METRICS[name]
        values[name] = float(entry.compute(of_answers))  # type: ignore[arg-type]
        statistics[name] = entry.statistics(of_answers)  # type: ignore[misc,assignment]
    return Scores({name: value for name, value in values.items() if math.isfinite(value)}, answers, statistics, data)


def _record(config: DpoConfig, run: Run, outcome: RemoteOutcome) -> None:
    before, after = outcome.before.values, outcome.after.values
    run.tags({"verdict": outcome.verdict.name, "verdict_reasons": "; ".join(outcome.verdict.reasons)})
    table = report.examples_table(outcome.rows, outcome.before, outcome.after)
    changes = {name: dataclasses.asdict(change) for name, change in outcome.changes.items()}
    found = {"verdict": outcome.verdict.name, "reasons": outcome.verdict.reasons, "base": before, "tuned": after}
    run.text(json.dumps({**found, "changes": changes, "rows": table}, indent=1), "eval_results.json")
    run.table(table, "eval_table.json")
    row_statistics.save(run, outcome.after.statistics)
    row_statistics.save(run, outcome.before.statistics, row_statistics.BASE)
    claims.record_results(outcome.results, f"{config.register_as}: {config.remote_model}", run)


def _register(
    config: DpoConfig,
    rows: PreferenceRows,
    run: Run,
    outcome: RemoteOutcome,
    primary: str,
    api: ApiJob,
    named: frozenset[str] | None,
) -> str:
    """Register the last model, and return the last lines on screen; ``named``: the metrics that were chosen."""
    step = max(api.models)
    model, before, after = api.models[step], outcome.before.values, outcome.after.values
    api.log_responses()
    found, weights = api.registrable(model)
    tags = {
        "base_model": api.base,
        versions.OPENAI_ID: model,
        jobs.JOB_TAG: api.job_id,
        **weights,
        **rows.digests(),
        "verdict": outcome.verdict.name,
        "primary": primary,
        "step": step,
        "loss": config.loss,
        **style_tag(rows.test),
        **metrics.both_sides(before, after),
    }
    n = len(outcome.rows)
    lines = metric_lines(before, after, outcome.changes, named)
    shown = metrics_table(lines, ("base", "tuned"), f"{n} held-out rows")
    reasons = "; ".join(outcome.verdict.reasons)
    card = (f"# {config.register_as}: {api.base} trained on preferences by {api.job_id}\n\n**Verdict: "
            f"{outcome.verdict.name}.** {reasons}.\n\n```\n{shown}\n```\n\n- run: {run.run_id}\n")  # fmt: skip
    version = registration.register(run, found, config.register_as, tags, card)
    run.tags({"registered_version": version.reference})
    scores = {**metrics.both_sides(before, after), **metrics.change_metrics(outcome.changes)}
    evaluation_run.record(run, {step: scores}, version.source, inputs_of(rows, config.dataset)[-1])
    broken = claims.broken(outcome.results)
    moved = promote(version, primary, after[primary], outcome.after.statistics, config.least_gain, broken)
    table = report.examples_table(outcome.rows, outcome.before, outcome.after)
    return "\n".join([
        "", report.screen_table(table), f"Metrics   {shown}",
        f"Note      {len(rows.test) - n} held-out prompts without both answers are left out",
        f"Verdict   {outcome.verdict.name}: {reasons}",
        f"Version   {version.reference}, the model {model}; {moved.sentence}",
    ])  # fmt: skip
