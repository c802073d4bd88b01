"""Pretraining of the bundled base model: load texts, tokenize, train, evaluate, write the model with its card."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from data.conversation import Row
from data.synthetic import corpora, exercises
from evals.generation import Decoding, answer
from evals.metrics import both_sides
from evals.repetition import is_loop
from inference.threads import set_threads
from recipes.pretraining import model as pretraining_model
from recipes.pretraining.card import TrainedBase, write_card
from recipes.pretraining.config import BaseConfig
from registry import lineage
from registry.runs import Run
from train import base_model, distributed
from train.encoding import Example, encode
from train.loop import fit
from train.loss_curve import write_loss_curve
from train.resume import StateFolder

HELD_OUT_ROWS = 100  # one joined row of so many measures the eval loss
EXAMINED = 300


def make_base(config: BaseConfig, run: Run) -> Iterator[str]:
    """Train the base and write it with its card to ``config.output``; yields what its user reads.

    Raises:
        UserError: the corpora can't be had, or training diverged.
    """
    set_threads(config.threads)
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
    fsdp = distributed.uses_fsdp("auto", "full")
    fitted = fit(model, trained, held_out, config, StateFolder(run.folder), run, fsdp=fsdp)
    if not leads:
        return
    scores = examine(model, tokenizer, texts)
    run.require_server()
    yield keep(config, run, TrainedBase(model, tokenizer, fitted, counts, scores))


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
        "loop_rate": sum(is_loop(a.text) for a in answers) / len(chosen),
    }


def keep(config: BaseConfig, run: Run, base: TrainedBase) -> str:
    """Write the model, its card and its curves to the output folder and the run; returns the last line on screen."""
    folder = Path(config.output)
    base.model.cpu().save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    digest = base_model.weights_digest(folder)
    run.log(base.fitted.restored_step, both_sides({}, base.scores))
    run.tags({"base_digest": digest})
    run.flush()
    (folder / "README.md").write_text(write_card(config, run.run_id, digest, base), encoding="utf-8")
    for path in write_loss_curve(run.history("train/loss"), base.fitted.progress, "bundled base", run.folder):
        run.file(path)
    run.folder_of_files(folder, "base")
    return f"\nWrote {folder} (weights {digest}): {json.dumps(base.scores)}"
