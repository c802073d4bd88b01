"""A zip from which a result can be checked: model, digests, rows where their licence allows it, settings, a script."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from data import pirate
from data.conversation import Row
from data.errors import UserError
from inference.weights import sha256_of
from recipes.dpo.config import DpoConfig
from recipes.export.config import ExportConfig
from recipes.export.layouts import Source, write_merged
from recipes.sft.config import TuneConfig

SCRIPT = Path(__file__).with_name("templates") / "reproduce.py"
MODEL, CLAIMS = "model", "claims.yaml"
#: The settings of the entry points that can train a version again.
TRAININGS: dict[str, Any] = {"pirate": TuneConfig, "dpo": DpoConfig}
#: Sets that are part of this project, under its licence; of others the bundle has digests only.
OWN_SETS = ("terse", "wordy", "reviews")


def write(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write everything but the comparison, which follows."""
    from registry import lineage, run_records, versions  # MLflow, which other formats do not need

    write_merged(source, folder / MODEL)
    version = versions.resolve(source.name)
    record, tags = run_records.load(version.run_id), version.tags
    params = dict(record.params) if record else {}
    numbers = {key: float(value) for key, value in tags.items() if key.startswith(("base/", "test/"))}
    rows = write_rows(folder, params)
    entry = record.entry if record and record.entry in TRAININGS else ""
    facts = {
        "version": source.name,
        "entry": entry,
        "params": settings_of(entry, params),
        "tags": {key: value for key, value in tags.items() if key not in numbers},
        "metrics": numbers,
        "rows": rows,
        "environment": lineage.environment(),
    }
    if facts["params"].get("claims"):
        (folder / CLAIMS).write_text(params.get("claims_text", ""), encoding="utf-8")
        facts["params"]["claims"] = CLAIMS
    answers = source.reference.answers
    items = [
        {"messages": messages, "tokens": tokens, "text": text}
        for messages, tokens, text in zip(source.reference.messages, answers.tokens, answers.texts, strict=True)
    ]
    _json(folder / "bundle.json", facts)
    _json(folder / "transcript.json", {"max_new_tokens": config.max_new_tokens, "items": items})
    (folder / "model_card.md").write_text(versions.description(version) or f"# {source.name}\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("".join(f"{pin}\n" for pin in lineage.pins()), encoding="utf-8")
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)


def settings_of(entry: str, params: Mapping[str, str]) -> dict[str, str]:
    """Those of ``params`` that are settings of the entry point; its run logs others beside them."""
    known = {field.name for field in fields(TRAININGS[entry])} - {"resume"} if entry else set()
    return {name: value for name, value in params.items() if name in known}


def write_rows(folder: Path, params: dict[str, str]) -> str:
    """Write the rows of a bundled set to ``rows``; returns which rows there are, or why none."""
    name = params.get("dataset", "")
    if not (pirate.is_named(name) or name in OWN_SETS):
        return "none: the licence of the rows is not known here; tags has their digests" if name else "none are known"
    from recipes.version_rows import rows_of

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
