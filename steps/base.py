"""``mlflow run . -e base``: make the bundled base model from public dialogues, stories and generated exercises."""

import json
from pathlib import Path

from data import corpora
from registry import runs
from steps.edge import OUTPUTS, Stopped, main
from steps.flags import parse
from train.pretrain import BaseConfig


def base(argv: list[str]) -> None:
    """Train the base model, resumable at every evaluation, and write it with its card to ``output``."""
    config = parse(BaseConfig, argv)
    run = runs.reopen(config.resume, OUTPUTS)[0] if config.resume else runs.start("base", OUTPUTS)
    print(f"Run {run.run_id}")
    try:
        _train(config, run)
    except Stopped:
        run.finish("KILLED")
        print(f"Stopped. To go on: mlflow run . -e base -P resume={run.run_id}")
        raise
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish()


def _train(config: BaseConfig, run: runs.Run) -> None:
    from dataclasses import asdict

    import torch

    from train.encoding import encode
    from train.fit import fit
    from train.pretrain import base_rows, join, load_or_make_tokenizer, make_model
    from train.state import StateFolder

    torch.set_num_threads(config.threads or torch.get_num_threads())
    run.params(asdict(config))
    texts = corpora.read(config.corpora)
    talk, tasks = base_rows(texts, config)
    print(f"{len(talk)} conversations and stories, {len(tasks)} exercises")
    tokenizer = load_or_make_tokenizer(run.folder / "tokenizer", talk + tasks, config.vocabulary)
    examples = encode(talk, tokenizer, "all", config.max_length) + encode(tasks, tokenizer, "response", config.max_length)
    rows = join(examples, config.row_tokens, config.seed)
    held_out, trained = rows[::100], [row for i, row in enumerate(rows) if i % 100]
    tokens = sum(len(row.input_ids) for row in trained)
    print(f"{len(trained)} rows, {tokens:,} tokens, of which {sum(row.trained for row in trained):,} are trained")
    model = make_model(config, tokenizer)
    fitted = fit(model, trained, held_out, config, StateFolder(run.folder), run, config.lr)
    save(model, tokenizer, Path(config.output))
    print(json.dumps({"step": fitted.restored_step, "eval_loss": fitted.progress.history[-1]}))


def save(model, tokenizer, folder: Path) -> None:
    """Write model and tokenizer in Hugging Face's layout."""
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main(base)
