"""Making the bundled base model as a list of steps: texts, tokenizer, rows, training, examination, card."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from data.conversation import Row
from data.synthetic import corpora, exercises
from evals import text_metrics
from evals.generation import Decoding, answer
from recipes.pretraining import model as pretraining_model
from recipes.pretraining.config import BaseConfig
from registry import lineage
from registry.runs import Run
from train import base_model, distributed, plots
from train.encoding import Example, encode
from train.loop import Fitted, fit
from train.resume import StateFolder

HELD_OUT_ROWS = 100  # one joined row of so many measures the eval loss
EXAMINED = 300


def make_base(config: BaseConfig, run: Run) -> Iterator[str]:
    """Train the base and write it with its card to ``config.output``; yields what its user reads.

    Raises:
        UserError: the corpora can't be had, or training diverged.
    """
    import torch

    torch.set_num_threads(config.threads or torch.get_num_threads())
    leads = distributed.rank() == 0
    texts = corpora.read(config.corpora)
    talk, tasks = pretraining_model.base_rows(texts, config)
    yield f"{len(talk):,} conversations and stories, {len(tasks):,} exercises"
    tokenizer = distributed.first_alone(
        lambda: pretraining_model.load_or_make_tokenizer(run.folder / "tokenizer", talk + tasks, config.vocabulary)
    )
    rows = encode_rows(talk, tasks, tokenizer, config)
    held_out = rows[::HELD_OUT_ROWS]
    trained = [row for i, row in enumerate(rows) if i % HELD_OUT_ROWS]
    counts = {
        "rows": len(trained),
        "tokens": sum(len(row.input_ids) for row in trained),
        "trained_tokens": sum(row.trained for row in trained),
    }
    yield f"{counts['rows']:,} rows, {counts['tokens']:,} tokens, of which {counts['trained_tokens']:,} are trained"
    if leads:
        run.params({k: v for k, v in dataclasses.asdict(config).items() if k != "resume"})
        run.tags({"kind": "base", **lineage.code_state(), **{f"corpus_{k}": v for k, v in counts.items()}})
    model = pretraining_model.make_model(config, tokenizer).to(base_model.pick_device())
    fitted = fit(model, trained, held_out, config, StateFolder(run.folder), run)
    if not leads:
        return
    scores = examine(model, tokenizer, texts)
    run.require_server()
    yield keep(config, run, model, tokenizer, fitted, counts, scores)


def encode_rows(talk: list[Row], tasks: list[Row], tokenizer: Any, config: BaseConfig) -> list[Example]:
    """Joined rows: conversations and stories trained in full, exercises on their answers only."""
    read = encode(talk, tokenizer, "all", config.max_length)
    practised = encode(tasks, tokenizer, "response", config.max_length)
    return pretraining_model.join(read + practised, config.row_tokens, config.seed)


def examine(model: Any, tokenizer: Any, texts: corpora.CorpusTexts) -> dict[str, float]:
    """Copying on sentences that no exercise held: the share repeated exactly."""
    unseen = [s for s in exercises.sentences(texts.plain()) if exercises.is_held_out(s)]
    chosen = Random(7).sample(unseen, min(EXAMINED, len(unseen)))
    if not chosen:
        return {}
    answers = answer(model, tokenizer, [Row(((f"Repeat: {s}", ""),)) for s in chosen], Decoding())
    return {
        "repeat_exact": sum(a.text == s for a, s in zip(answers, chosen, strict=True)) / len(chosen),
        "stop_rate": sum(a.stopped for a in answers) / len(chosen),
        "loop_rate": sum(text_metrics.is_loop(a.text) for a in answers) / len(chosen),
    }


def keep(
    config: BaseConfig,
    run: Run,
    model: Any,
    tokenizer: Any,
    fitted: Fitted,
    counts: dict[str, int],
    scores: dict[str, float],
) -> str:
    """Write the model, its card and its curves, in the output folder and in the run."""
    folder = Path(config.output)
    model.cpu().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    digest = base_model.weights_digest(folder)
    run.log(fitted.restored_step, {f"test/{k}": v for k, v in scores.items()})
    run.tags({"base_digest": digest})
    run.flush()
    card = base_card(config, run.run_id, digest, model, fitted, counts, scores)
    (folder / "README.md").write_text(card, encoding="utf-8")
    for path in plots.write_loss_curve(run.history("train/loss"), fitted.progress, "bundled base", run.folder):
        run.file(path)
    run.folder_of_files(folder, "base")
    return f"\nWrote {folder} (weights {digest}): {json.dumps(scores)}"


def base_card(
    config: BaseConfig,
    run_id: str,
    digest: str,
    model: Any,
    fitted: Fitted,
    counts: dict[str, int],
    scores: dict[str, float],
) -> str:
    """The base model's card, every figure taken from its run."""
    size = sum(p.numel() for p in model.parameters())
    sources = "\n".join(f"| {name} | {licence} |" for name, licence in corpora.SOURCES)
    curve = "\n".join(
        f"| {step} | {loss:.3f} |"
        for step, loss in fitted.progress.history[:: max(1, len(fitted.progress.history) // 8)]
    )
    measured = "\n".join(f"| {key} | {value:.3f} |" for key, value in scores.items())
    settings = "\n".join(
        f"- {key}: {value}"
        for key, value in dataclasses.asdict(config).items()
        if key not in ("resume", "corpora", "output")
    )
    facts = "\n".join(f"- {key}: {value}" for key, value in {**lineage.code_state(), **lineage.environment()}.items())
    return f"""---
license: cc-by-sa-4.0
language: en
---
# Parley's bundled base model

A very small chat model, trained from scratch so that fine-tuning can be tried anywhere: GPT-2 architecture,
{config.layers} layers x {config.width}, {size:,} parameters, {config.vocabulary:,} tokens,
{config.max_length} positions.
It speaks short, plain English, repeats and rewrites what it is told, and has never met a pirate: every
conversation with a piratical word was left out of its texts.

Weights {digest} (first 16 hex digits of the SHA-256 of its safetensors), made by `mlflow run . -e base`, run {run_id}.

## Texts
{counts["rows"]:,} rows, {counts["tokens"]:,} tokens, {counts["trained_tokens"]:,} of them trained.

| source | licence |
| --- | --- |
{sources}
| small talk, questions, film reviews and copying exercises | generated by this project, CC0-1.0 |

## Training
| step | eval loss |
| ---: | ---: |
{curve}

{settings}

{facts}

## Measured on held-out sentences
| metric | value |
| --- | ---: |
{measured}

## Limits
It knows next to nothing and makes facts up. Use it to study what fine-tuning does, and for nothing else.
"""
