"""A version's scores, curves, lineage, card and kept checkpoints, as plain values for a page.

Every part is read on its own. One that is missing, because the run was removed or another tool made the version, leaves
a line in ``VersionDetails.notes`` and does not affect the others.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data.errors import first_line
from registry import checkpoints, report_files, versions
from registry.store import connected, is_down, without_password
from registry.version_metrics import Labels, Score, headline, number, scores_of
from registry.versions import Version

T = TypeVar("T")
Curve = tuple[tuple[int, float], ...]

#: names of a curve's metric: this project's own, then those of other trainers
TRAIN_LOSS = ("train/loss", "loss", "train_loss")
EVAL_LOSS = ("eval/loss", "eval_loss")
#: in no folder, since a single point would be shown before the curves of its folder; then the earlier name
BEST = ("best_step", "eval/best_step")
SETTINGS = ("method", "learner", "labels", "rank", "alpha", "epochs", "batch_size", "lr", "restore", "seed")
LORA_SETTINGS = ("rank", "alpha")
#: Settings that TF-IDF with logistic regression has; ``-e noisy`` logs those of language models with every learner.
TFIDF_SETTINGS = ("learner", "seed")
#: params with the value that was taken where a setting is 0, its default
TAKEN = {"lr": "learning_rate", "epochs": "num_train_epochs"}
RESULTS, CARD = "eval_results.json", "model_card.md"
WANTED = {RESULTS: "held-out prompts", checkpoints.FOLDER: "checkpoints"}
FITTED_AT_ONCE = "TF-IDF is fitted in one step: it has neither a loss curve nor checkpoints"
MOST_PROMPTS = 12
NO_LABELS: Labels = {}
WEB = ("http://", "https://")


@dataclass(frozen=True)
class VersionDetails:
    """What is known of a version. What is unknown is empty or None, and ``notes`` say why, one line each.

    ``train_loss`` and ``eval_loss`` hold (step, loss in nats). ``restored_step`` is the step whose weights were
    registered; ``checkpoints`` are the steps whose weights are kept, ascending. ``lineage`` holds (label, value),
    ``card`` is Markdown, ``prompts`` are held-out ones, ``run_url`` leads to the run in the MLflow UI,
    ``has_report``: whether that run keeps a report page.
    """

    version: Version
    kind: str
    verdict: str
    reasons: tuple[str, ...]
    scores: tuple[Score, ...]
    train_loss: Curve
    eval_loss: Curve
    best_step: int | None
    restored_step: int | None
    checkpoints: tuple[int, ...]
    lineage: tuple[tuple[str, str], ...]
    card: str
    prompts: tuple[str, ...]
    run_url: str
    notes: tuple[str, ...]
    has_report: bool = False


@dataclass(frozen=True)
class CatalogEntry:
    """A version as a list shows it. ``kind``, ``verdict`` and ``headline`` are empty where it has none."""

    version: Version
    kind: str
    verdict: str
    headline: str
    created: datetime


def catalogue(name: str = "", labels: Labels = NO_LABELS) -> list[CatalogEntry]:
    """Every version of every registered model, or of ``name``: names sorted, the newest version of each first.

    ``labels``: those of the metrics in its headline, by their names; the first that a version has are shown.

    Raises:
        TrackingUnavailable: the registry does not answer.
    """
    return [
        CatalogEntry(version, tags.get("kind", ""), tags.get("verdict", ""), headline(scores_of(tags, labels)), made)
        for version, made in versions.search(name)
        for tags in [version.tags]
    ]


def details_of(version: Version, ui_address: str = "", labels: Labels = NO_LABELS) -> VersionDetails:
    """Everything that the registry and the store have of ``version``.

    Args:
        ui_address: where the MLflow UI answers, such as ``http://127.0.0.1:5000``; empty takes the tracking server's
            own address where there is one.
        labels: labels of metrics by their names, in the order of the scores; others follow by their names.

    Raises:
        TrackingUnavailable: the registry does not answer.
    """
    notes: list[str] = []
    with connected() as client:
        registered = _registered(client, version, notes)
        run = _run(client, version, notes)
        tags = {**(run.data.tags if run else {}), **version.tags}
        train_loss = _curve(client, run, TRAIN_LOSS, notes)
        eval_loss = _curve(client, run, EVAL_LOSS, notes)
        best, restored = _steps(client, run, version, eval_loss, notes)
        is_fitted_at_once = tags.get("kind") == "tfidf"
        kept = _artifacts(client, run, is_fitted_at_once, notes)
        card = getattr(registered, "description", None) or _text(client, run, CARD, kept, notes)
        prompts = _prompts(client, run, kept, notes)
        steps = _checkpoints(client, run, kept, notes)
    scores = scores_of(version.tags, labels) or scores_of(run.data.metrics if run else {}, labels)
    has_curve = train_loss or eval_loss or run is None or is_fitted_at_once
    missing = {"no scores": scores, "no card": card, "no loss curve": has_curve}
    notes += [f"it has {what}" for what, value in missing.items() if not value]
    notes += [FITTED_AT_ONCE] * is_fitted_at_once
    return VersionDetails(
        version=version,
        kind=tags.get("kind", ""),
        verdict=tags.get("verdict", ""),
        reasons=tuple(filter(None, tags.get("verdict_reasons", "").split("; "))),
        scores=scores,
        train_loss=train_loss,
        eval_loss=eval_loss,
        best_step=best,
        restored_step=restored,
        checkpoints=steps,
        lineage=_lineage(version, registered, run, tags),
        card=card,
        prompts=prompts,
        run_url=_run_url(run, ui_address),
        notes=tuple(notes),
        has_report=report_files.PAGE in kept,
    )


def _part(work: Callable[[], T], empty: T, lost: str, notes: list[str]) -> T:
    """The result of ``work``; where the store has no such thing, ``empty`` and a line in ``notes``."""
    try:
        return work()
    except (MlflowException, OSError) as error:
        if is_down(error):
            raise
        notes.append(f"{lost}: {first_line(error)}")
        return empty


def _artifact(work: Callable[[], T], empty: T, lost: str, notes: list[str]) -> T:
    """As ``_part``, for the artifact store, each kind of which raises errors of its own."""
    try:
        return work()
    except Exception as error:
        notes.append(f"{lost}: {first_line(error)}")
        return empty


def _registered(client: MlflowClient, version: Version, notes: list[str]) -> Any:
    lost = f"{version.reference} is no longer in the registry"
    return _part(lambda: client.get_model_version(version.name, str(version.number)), None, lost, notes)


def _run(client: MlflowClient, version: Version, notes: list[str]) -> Run | None:
    if not version.run_id:
        notes.append("it names no run, so its curves, data and checkpoints are unknown")
        return None
    run = _part(lambda: client.get_run(version.run_id), None, f"its run {version.run_id} is gone", notes)
    if run and run.info.lifecycle_stage == "deleted":
        notes.append("its run was deleted; what is still shown of it can go at any time")
    return run


def _curve(client: MlflowClient, run: Run | None, keys: Sequence[str], notes: list[str]) -> Curve:
    key = next((key for key in keys if run and key in run.data.metrics), None)
    if run is None or key is None:
        return ()
    points = _part(lambda: client.get_metric_history(run.info.run_id, key), [], f"{key} is unavailable", notes)
    return tuple(sorted({p.step: p.value for p in points if number(p.value) is not None}.items()))


def _steps(
    client: MlflowClient, run: Run | None, version: Version, eval_loss: Curve, notes: list[str]
) -> tuple[int | None, int | None]:
    """The best step and the registered one. Older runs logged the metric of the first at the step of the second."""
    best = min(eval_loss, key=lambda point: (point[1], point[0]))[0] if eval_loss else None
    restored = number(version.tags.get("step"))
    key = next((name for name in BEST if run and name in run.data.metrics), "")
    if run and key:
        points = _part(lambda: client.get_metric_history(run.info.run_id, key), [], f"{key} is unavailable", notes)
        for point in points[-1:]:
            logged = number(point.value)
            best = best if logged is None else int(logged)
            restored = point.step if restored is None else restored
    return best, None if restored is None else int(restored)


def _artifacts(client: MlflowClient, run: Run | None, is_fitted_at_once: bool, notes: list[str]) -> set[str]:
    """Names of the run's top-level artifacts."""
    if run is None:
        return set()
    entries = _artifact(lambda: client.list_artifacts(run.info.run_id), None, "its artifacts are unavailable", notes)
    names = {entry.path for entry in entries or ()}
    wanted = {name: what for name, what in WANTED.items() if name == RESULTS or not is_fitted_at_once}
    absent = [what for name, what in wanted.items() if name not in names and entries is not None]
    if absent:
        notes.append(f"its run keeps no {' and no '.join(absent)}")
    return names


def _text(client: MlflowClient, run: Run | None, name: str, kept: set[str], notes: list[str]) -> str:
    if run is None or name not in kept:
        return ""

    def read() -> str:
        with TemporaryDirectory() as folder:
            return Path(client.download_artifacts(run.info.run_id, name, folder)).read_text(encoding="utf-8")

    return _artifact(read, "", f"{name} can't be read", notes)


def _prompts(client: MlflowClient, run: Run | None, kept: set[str], notes: list[str]) -> tuple[str, ...]:
    text = _text(client, run, RESULTS, kept, notes)
    if not text:
        return ()

    def read() -> list[str]:
        return [str(row["prompt"]) for row in json.loads(text).get("rows", []) if "prompt" in row]

    rows = _artifact(read, [], f"{RESULTS} is malformed", notes)
    prompts = list(dict.fromkeys(prompt for prompt in rows if prompt.strip()))
    count = min(MOST_PROMPTS, len(prompts))
    return tuple(prompts[i * len(prompts) // count] for i in range(count))


def _checkpoints(client: MlflowClient, run: Run | None, kept: set[str], notes: list[str]) -> tuple[int, ...]:
    if run is None or checkpoints.FOLDER not in kept:
        return ()
    found = _artifact(lambda: checkpoints.paths(client, run.info.run_id), {}, "its checkpoints are unavailable", notes)
    return tuple(sorted(found))


def _lineage(
    version: Version, registered: Any, run: Run | None, tags: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    params = run.data.params if run else {}
    commit = tags.get("git_commit") or tags.get("mlflow.source.git.commit", "")
    changed = ", with uncommitted changes" if tags.get("git_dirty") == "true" else ""
    made = getattr(registered, "creation_timestamp", None)
    pairs = {
        "data": _joined(*_data(run, "training", params.get("dataset", ""), tags.get("dataset_digest", ""))),
        "held-out rows": _joined(*_data(run, "testing", params.get("test_dataset", ""), tags.get("test_digest", ""))),
        "base": _joined(
            tags.get("base_model") or tags.get("base_name", ""),
            tags.get("base_digest", ""),
            tags.get("base_source", ""),
        ),
        "settings": _settings(params),
        "code": commit and commit[:12] + changed,
        "run": version.run_id,
        "made": f"{datetime.fromtimestamp(made / 1000, UTC):%Y-%m-%d %H:%M} UTC" if made else "",
    }
    return tuple((label, value) for label, value in pairs.items() if value)


def _data(run: Run | None, context: str, name: str, digest: str) -> tuple[str, str]:
    """Name and digest of the data that the run used as ``context``; params and tags take precedence."""
    name = name.strip("'\"")  # MLflow logs an empty parameter of a project with its quotes
    for given in run.inputs.dataset_inputs if run and run.inputs else ():
        if context in {tag.value for tag in given.tags}:
            return name or given.dataset.name, digest or given.dataset.digest
    return name, digest


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def _settings(params: Mapping[str, str]) -> str:
    is_remote = params.get("provider", "local") != "local"
    kind = "" if is_remote else params.get("learner") or params.get("method")
    names = TFIDF_SETTINGS if kind == "tfidf" else SETTINGS
    without = (*(LORA_SETTINGS if kind == "full" else ()), *(("learner",) if is_remote else ()))
    return ", ".join(f"{key} {_setting(key, params)}" for key in names if key in params and key not in without)


def _setting(key: str, params: Mapping[str, str]) -> str:
    value = params.get(key, "")
    if key not in TAKEN or number(value) != 0:
        return value
    taken = number(params.get(TAKEN[key], ""))
    return "default" if taken is None else f"{taken:g}"


def _run_url(run: Run | None, ui_address: str) -> str:
    store = mlflow.get_tracking_uri()
    address = without_password(store if store.startswith(WEB) else ui_address).rstrip("/")
    if run is None or not address.startswith(WEB):
        return ""
    return f"{address}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
