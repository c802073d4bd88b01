"""A zip from which a result can be checked: model, digests, rows where their licence allows it, settings, a script."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from data import pirate
from data.conversation import Row
from data.errors import UserError
from inference.weights import sha256_of
from recipes.export.config import ExportConfig
from recipes.export.layouts import Source, write_merged
from recipes.version_rows import rows_of
from registry import lineage, versions

SCRIPT = Path(__file__).with_name("templates") / "reproduce.py"
MODEL = "model"
#: Sets that are part of this project, under its licence; of others the bundle has digests only.
OWN_SETS = ("terse", "wordy", "reviews")


def write(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write everything but the comparison, which follows."""
    write_merged(source, folder / MODEL)
    params, tags = lineage.params_of(source.version.run_id), source.version.tags
    numbers = {key: float(value) for key, value in tags.items() if key.startswith(("base/", "test/"))}
    rows = write_rows(folder, params)
    facts = {
        "version": source.name,
        "entry": "dpo" if "beta" in params else "pirate",
        "params": {name: value for name, value in params.items() if name not in LOGGED_ONLY},
        "tags": {key: value for key, value in tags.items() if key not in numbers},
        "metrics": numbers,
        "rows": rows,
        "environment": lineage.environment(),
    }
    answers = source.reference.answers
    items = [
        {"messages": messages, "tokens": tokens, "text": text}
        for messages, tokens, text in zip(source.reference.messages, answers.tokens, answers.texts, strict=True)
    ]
    _json(folder / "bundle.json", facts)
    _json(folder / "transcript.json", {"max_new_tokens": config.max_new_tokens, "items": items})
    (folder / "model_card.md").write_text(
        versions.description(source.version) or f"# {source.name}\n", encoding="utf-8"
    )
    (folder / "requirements.txt").write_text("".join(f"{pin}\n" for pin in lineage.pins()), encoding="utf-8")
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)


#: Params that MLflow's users look for, beside the fields of the configuration.
LOGGED_ONLY = ("learning_rate", "num_train_epochs", "resume")


def write_rows(folder: Path, params: dict[str, str]) -> str:
    """Write the rows of a bundled set to ``rows``; returns which rows there are, or why none."""
    name = params.get("dataset", "")
    if not (pirate.is_named(name) or name in OWN_SETS):
        return "none: the licence of the rows is not known here; tags has their digests" if name else "none are known"
    try:
        rows = rows_of(params)
    except UserError:
        return f"none: {name} can't be read again"
    (folder / "rows").mkdir()
    for part in ("train", "validation", "test"):
        lines = "".join(json.dumps(_record(row), ensure_ascii=False) + "\n" for row in getattr(rows, part))
        (folder / "rows" / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return f"{name}, a set of this project"


def _record(row: Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value and name != "where"}


def pack(name: str, folder: Path, config: ExportConfig) -> None:
    """Pack all files of ``folder``, the comparison included, into one zip with their digests, which replaces them."""
    digests = {
        path.relative_to(folder).as_posix(): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
    _json(folder / "files.json", digests)
    stem = name.replace("/", "-")
    archive = folder / f"{stem}.zip"
    with ZipFile(archive, "w") as packed:
        for each in ["files.json", *digests]:
            kind = ZIP_STORED if each.endswith(".safetensors") else ZIP_DEFLATED  # weights hardly shrink
            packed.write(folder / each, f"{stem}/{each}", kind)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != archive and not path.name.startswith("proof."):
            path.unlink()


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
