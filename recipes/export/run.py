"""An export: load the version, note its answers, write the format, let its consumer answer, compare, keep or refuse."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from data.conversation import Row
from data.errors import UserError, first_line, last_line
from inference.locations import ModelLocation
from inference.lora import CONFIG
from recipes.export import hub, quantizer, report
from recipes.export.answers import Reference
from recipes.export.config import EXPORTS, PROOF, ExportConfig
from recipes.export.formats import FORMATS, UNCONVERTED, Format
from recipes.export.output_folder import new_folder
from recipes.export.own_process import in_own_process
from recipes.export.proof import HALF, WEIGHTS, Proof, compare
from recipes.export.rounding import rounding_cause
from recipes.export.version_process import write
from recipes.version_models import locate
from recipes.version_rows import rows_of
from registry import lineage
from registry.references import split
from registry.runs import Run
from registry.versions import Version

CONSUMERS = Path(__file__).with_name("consumers")


@dataclass(frozen=True)
class Exported:
    """A finished export: its ``folder``, and the ``proof`` that it answers as its version does."""

    folder: Path
    proof: Proof


def export_version(config: ExportConfig, run: Run, progress: Callable[[str], None]) -> Exported:
    """Export the version; ``progress`` is called with each line as it comes.

    Raises:
        UserError: as ``export``.
    """
    lines = export(config, run)
    while True:
        try:
            progress(next(lines))
        except StopIteration as end:
            return end.value


def export(config: ExportConfig, run: Run) -> Generator[str, None, Exported]:
    """Export the version, yield the lines that are printed, and return what was made.

    Raises:
        UserError: there is no such version, it has no weights here, the folder is there, or the exported model does not
            answer as the version does; nothing is left behind.
    """
    require_installed(config)
    version, location = find(config.version)
    form = FORMATS[config.to]
    reference_name = version.reference
    target = target_folder(config, version, run.folder.parent)
    record_start(config, run, version, location)
    yield f"Version {reference_name} to {config.to} in {target}"
    with new_folder(target) as folder:
        reference, bos = yield from in_own_process(write, config, location, *own_rows(version), folder)
        if form.convert:
            form.convert(folder, folder, config.outtype)
        yield f"Written {size_mb(folder):,.0f} MB"
        found = consume(config, form, location, folder / form.model, reference)
        tolerance = form.tolerance(config)
        proof = compare(reference, found, tolerance, bos)
        yield report.line(proof)
        if proof.cause == WEIGHTS and form.convert:
            control = partial(in_type, config, form, location, folder, reference, bos)
            proof = replace(proof, cause=(yield from rounding_cause(config.outtype, control)))
        run.log(0, proof.metrics)
        run.flush()
        record = report.as_json(proof, tolerance, reference, found)
        keep_proof(run, folder, record, report.markdown(proof, reference, found))
        if proof.cause:
            raise UserError(f"the export does not answer as {reference_name} does: {proof.cause}; nothing was exported")
        form.finish(reference_name, folder, config)
    yield f"Export  {target}"
    return Exported(target, proof)


def require_installed(config: ExportConfig) -> None:
    """Check that the program that reads the export is there, before anything is loaded.

    Raises:
        UserError: it is not.
    """
    if config.to == "onnx":
        raise UserError(
            "to=onnx: Optimum (optimum-onnx 0.1.0) needs transformers below 4.58 and refuses the one here; export with "
            "to=merged, then `optimum-cli export onnx --model FOLDER OUTPUT` in an environment of its own"
        )
    if config.to == "hub":
        hub.require_ready(config)
    if config.outtype == "q4_k_m":
        quantizer.require()
    if FORMATS[config.to].consumer == "with_llama_cpp" and not find_spec("xllamacpp"):
        raise UserError(f"to={config.to} needs llama.cpp: pip install -r requirements-export.txt")


def find(reference: str) -> tuple[Version, ModelLocation]:
    """The version and where its weights are.

    Raises:
        UserError: there is no such version, or its weights are not here.
    """
    version, part = split(reference)
    name = version.reference
    if part:
        raise UserError(f"version={reference}: name the version itself, {name}")
    if version.tags.get("kind") == "tfidf":
        raise UserError(f"version={reference} is a TF-IDF classifier, and only language models are exported")
    location = locate(name)
    if location.remote:
        raise UserError(f"version={reference} is a model behind an API; its weights are not here to be exported")
    return version, location


def target_folder(config: ExportConfig, version: Version, outputs: Path) -> Path:
    """The folder that will be made.

    Raises:
        UserError: it is there already.
    """
    own = outputs / EXPORTS / config.folder_name(version.name, version.number)
    target = Path(config.output).expanduser() if config.output else own
    if target.exists() or target.is_symlink():
        raise UserError(f"output={target} is there already; name another folder, or delete it")
    return target.absolute()


def own_rows(version: Version) -> tuple[list[Row], str]:
    """The held-out rows of the version's run, and why there are none."""
    try:
        params = lineage.params_of(version.run_id)
        if "dataset" not in params or "n_train" in params:
            return [], "no held-out rows: the version comes from no run of pirate or dpo"
        return rows_of(params).test, ""
    except UserError as error:
        return [], f"the version's held-out rows can't be read again: {first_line(error)}"


def consume(
    config: ExportConfig, form: Format, location: ModelLocation, folder: Path, reference: Reference
) -> Mapping[str, Any]:
    """What the consumer of the format answers, in a process that imports nothing of this project.

    Raises:
        UserError: it can't load the export or fails.
    """
    task = task_of(config, form, location, folder, reference)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "task.json").write_text(json.dumps(task))
        command = [sys.executable, "-I", str(CONSUMERS / f"{form.consumer}.py"), "task.json", "result.json"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, errors="replace")
        if done.returncode:
            raise UserError(f"to={config.to}: the export can't be used: {last_line(done.stderr)}")
        return json.loads((place / "result.json").read_text())


def task_of(
    config: ExportConfig, form: Format, location: ModelLocation, folder: Path, reference: Reference
) -> dict[str, Any]:
    """The task of a consumer, see ``recipes.export.consumers``."""
    return {
        "folder": str(folder),
        "base": str(location.base) if (folder / CONFIG).is_file() else "",
        "messages": reference.messages,
        "tokens": reference.answers.tokens,
        "max_new_tokens": config.max_new_tokens,
        "threads": config.threads,
        "fresh_environment": config.fresh_environment,
        "longest_prompt": max(map(len, reference.answers.prompts)),
    }


def record_start(config: ExportConfig, run: Run, version: Version, location: ModelLocation) -> None:
    """The settings as params, and which weights are exported as tags."""
    run.params(asdict(config))
    run.tags({
        "exported_version": version.reference,
        "weights_digest": location.info.digest,
        "base_digest": location.info.base_digest,
    })  # fmt: skip


def in_type(
    config: ExportConfig, form: Format, location: ModelLocation, folder: Path, reference: Reference, bos: int | None,
    outtype: str,
) -> Proof:  # fmt: skip
    """The comparison of a GGUF file whose matrices are of another type; the file is removed.

    It must be within the tolerance of 16 bits too, so that this type can be recommended.

    Raises:
        UserError: it can't be made or read.
    """
    assert form.convert
    with tempfile.TemporaryDirectory(dir=folder) as name:
        form.convert(folder, Path(name), outtype)
        found = consume(config, form, location, Path(name), reference)
    return compare(reference, found, replace(HALF, mean=form.tolerance(config).mean), bos)


def size_mb(folder: Path) -> float:
    """Size of the files of an export, in MB."""
    files = (each for each in folder.rglob("*") if each.is_file() and UNCONVERTED not in each.parts)
    return sum(each.stat().st_size for each in files) / 1e6


def keep_proof(run: Run, folder: Path, record: Mapping[str, Any], page: str) -> None:
    """The comparison as artifacts of the run, and as files of the export."""
    for name, text in ((PROOF, json.dumps(record, indent=1)), ("proof.md", page)):
        run.text(text, name)
        (folder / name).write_text(text, encoding="utf-8")
