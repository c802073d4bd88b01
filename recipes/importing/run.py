"""An import: find the files, load the model, evaluate it where rows are named, register it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from data import pirate
from data.conversation import Row, digest
from data.formats import files as data_files
from evals import metrics
from evals.generation import Decoding, Scores, probe, score
from inference.threads import set_threads
from recipes.importing import files
from recipes.importing.config import ImportConfig
from recipes.importing.files import Found
from recipes.run_names import columns
from recipes.sft.data import has_style
from registry import evaluation_run, lineage, registration
from registry.registration import LanguageModelFiles
from registry.runs import Run
from train import base_model
from train.base_model import context_length
from train.trainable import pristine

PROBES = ("What is the capital of France?", "Good morning!", "Name three fruits.")


def import_model(config: ImportConfig, run: Run) -> Iterator[str]:
    """Register the model and yield the lines that are printed.

    Raises:
        UserError: the files, their base or the rows can't be used; nothing is registered then.
    """
    set_threads(config.threads)
    rows = test_rows(config)
    found = files.find(config)
    run.params(asdict(config))
    base = found.base.name if found.base else "unknown"
    yield f"Model   {config.path} ({found.source}, weights {found.digest}), base {base}"
    model, tokenizer = files.load(found)
    before, after = evaluate(config, found, model, tokenizer, rows)
    tags = tags_of(config, found, rows, before, after)
    run.tags({**tags, **lineage.code_state()})
    probed = probe(model, tokenizer, [Row(((prompt, ""),)) for prompt in PROBES], config.max_new_tokens)
    checkpoint = run.folder / "imported"
    files.copy(found, checkpoint)
    settings = files.model_config(found, model, tokenizer, config.max_new_tokens)
    del model
    logged = LanguageModelFiles(checkpoint, settings, probed)
    version = registration.register(run, logged, config.register_as, tags, card(config, tags, len(rows)))
    run.tags({"registered_version": version.reference})
    if rows:
        scores = {key: float(value) for key, value in tags.items() if key.startswith(("base/", "test/"))}
        test_set = ("test", tags["test_digest"], config.test_dataset, len(rows), "testing")
        evaluation_run.record(run, {0: scores}, version.source, test_set)
    yield from lines(before, after, len(rows))
    yield f"Version {version.reference}"


def test_rows(config: ImportConfig) -> list[Row]:
    """The rows that ``test_dataset`` names; none where it is empty.

    Raises:
        DataError: they can't be used.
    """
    if not config.test_dataset:
        return []
    given = config.test_dataset
    return pirate.test_rows() if pirate.is_named(given) else data_files.load(given).rows


def evaluate(
    config: ImportConfig, found: Found, model: Any, tokenizer: Any, rows: list[Row]
) -> tuple[Scores | None, Scores | None]:
    """Base and model on the rows; None for a base that is unknown, and for both where there are no rows."""
    if not rows:
        return None, None
    rest = (rows, (), Decoding(config.max_new_tokens), context_length(model), has_style(rows))
    after = score(model, tokenizer, *rest)
    if found.kind == "lora":
        with pristine(model):
            return score(model, tokenizer, *rest), after
    if not found.base:
        return None, after
    base, its_tokenizer = base_model.load(found.base, "cpu")
    return score(base, its_tokenizer, *rest), after


def tags_of(
    config: ImportConfig, found: Found, rows: list[Row], before: Scores | None, after: Scores | None
) -> dict[str, Any]:
    """Where the version comes from and how it did, as its tags and the run's."""
    base = found.base
    return {
        "kind": found.kind,
        "verdict": "imported",
        "imported_from": config.path,
        "source": found.source,
        "weights_digest": found.digest,
        **columns(base.name if base else "unknown", config.test_dataset or "none"),
        **(base.tags if base else {}),
        **({"test_digest": digest(rows)} if rows else {}),
        **metrics.both_sides(before.values if before else {}, after.values if after else {}),
    }


def lines(before: Scores | None, after: Scores | None, n: int) -> Iterator[str]:
    """Each metric of both with the interval of its change."""
    if not after:
        yield "Metrics none: test_dataset names no rows"
        return
    changes = metrics.changes(before.statistics, after.statistics) if before else {}
    yield f"Metrics on {n} rows" + ("" if before else "; its base is unknown, base_model= names it")
    for name, value in after.values.items():
        change = f", change {changes[name].text(metrics.format_of(name))}" if name in changes else ""
        yield f"  {name}: {value:.3f}" + (f", base {before.values[name]:.3f}{change}" if before else "")


def card(config: ImportConfig, tags: Mapping[str, Any], n: int) -> str:
    """The version's card: where it comes from, and how it did on how many rows."""
    facts = "\n".join(f"- {key}: {value}" for key, value in tags.items() if not key.startswith(("base/", "test/")))
    scores = "\n".join(
        f"| {key.removeprefix('test/')} | {tags.get('base/' + key.removeprefix('test/'), '')} | {value:.3f} |"
        for key, value in tags.items()
        if key.startswith("test/")
    )
    table = f"| metric, {n} rows | base | version |\n| --- | ---: | ---: |\n{scores}\n"
    measured = table if n else "It was not evaluated.\n"
    origin = "Made elsewhere; how it was trained is not known here."
    return f"# {config.register_as}: imported\n\n{origin}\n\n{measured}\n{facts}\n"
