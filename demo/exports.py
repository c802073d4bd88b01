"""Exports that the page starts: ``-e export`` in a process of its own; what was exported is found in its folder."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import UserError
from demo.lazy import import_lock
from demo.step_process import StepProcesses
from recipes.export.config import EXPORTS, PROOF, ExportConfig

#: Format by its name on the page -> (``to``, ``outtype``, what it is); those that need no network.
OFFERED: dict[str, tuple[str, str, str]] = {
    "merged": ("merged", "", "the whole model, for Transformers and vLLM"),
    "adapter": ("adapter", "", "the adapter alone in PEFT's layout"),
    "gguf f16": ("gguf", "f16", "one file for llama.cpp, 16 bits"),
    "gguf bf16": ("gguf", "bf16", "one file for llama.cpp, bfloat16"),
    "gguf q8_0": ("gguf", "q8_0", "one file for llama.cpp, 8 bits: half the size"),
    "ollama": ("ollama", "f16", "GGUF file and Modelfile"),
    "bundle": ("bundle", "", "model, digests, settings and a script that checks them, as a zip"),
    "space": ("space", "", "a Hugging Face Space with base and version side by side"),
}
#: What the step prints when a part of its work is done -> what it does next.
PHASES = {
    "Version": "loading the version",
    "Loaded": "computing the version's own answers",
    "Prompts": "writing the files",
    "Written": "letting the program that reads them answer",
    "Compared": "keeping what was found",
}


@dataclass(frozen=True)
class Export:
    """One version in one format. ``state``: absent, running, finished, stopped or failed.

    ``done``: which parts of ``PHASES`` are done. ``proof``: the comparison, what ``proof.json`` holds; None before it
    is there. ``bytes``: the size of what was written.
    """

    reference: str
    format: str
    state: str
    folder: Path
    done: int = 0
    seconds: float = 0.0
    error: str = ""
    proof: Mapping[str, Any] | None = None
    bytes: int = 0

    @property
    def config(self) -> ExportConfig:
        """The settings of the step."""
        return config_of(self.reference, self.format)

    @property
    def phase(self) -> str:
        """What goes on now."""
        return ["starting", *PHASES.values()][self.done]


class Exports:
    """Starts, stops and finds exports. ``outputs``: the folder in which their folders are made."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self.processes = outputs.absolute(), StepProcesses(outputs)

    def start(self, reference: str, name: str, license: str = "") -> None:
        """Export the version ``reference`` in the format ``name``.

        Args:
            license: of the base, for a Space; empty takes that of its card.

        Raises:
            UserError: it is exported already, or is being exported.
        """
        found = self.find(reference, name)
        if found.state == "finished":
            raise UserError(f"{reference} is exported as {name} already; delete {found.folder} to export it again")
        config = found.config
        settings = {"version": reference, "to": config.to, "outtype": config.outtype, "output": found.folder}
        self.processes.start(_process(reference, name), "export", settings | ({"license": license} if license else {}))

    def stop(self, reference: str, name: str) -> None:
        """Stop an export; nothing of it stays.

        Raises:
            UserError: it is not under way.
        """
        self.processes.stop(_process(reference, name))

    def find(self, reference: str, name: str) -> Export:
        """What is known of the version in the format; ``reference`` has its number, as in ``pirate/3``."""
        version, _, number = reference.rpartition("/")
        folder = self.outputs / EXPORTS / config_of(reference, name).folder_name(version, int(number))
        process = self.processes.find(_process(reference, name))
        if process and process.is_running:
            done = sum(bool(re.search(rf"^{word}\b", process.text, re.MULTILINE)) for word in PHASES)
            return Export(reference, name, "running", folder, done, process.seconds)
        if folder.is_dir():
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            return Export(reference, name, "finished", folder, proof=_read(folder / PROOF), bytes=size)
        if process is None:
            return Export(reference, name, "absent", folder)
        state, error = process.outcome
        refused = _of_run(process.run_id) if state == "failed" else None
        return Export(reference, name, state, folder, error=error, proof=refused)


def config_of(reference: str, name: str) -> ExportConfig:
    """The settings of the format ``name``.

    Raises:
        UserError: there is no such format.
    """
    if name not in OFFERED:
        raise UserError(f"there is no format {str(name)[:40]!r}; choose one of {', '.join(OFFERED)}")
    to, outtype, _ = OFFERED[name]
    return ExportConfig(version=reference, to=to, **({"outtype": outtype} if outtype else {}))  # type: ignore[arg-type]


def _process(reference: str, name: str) -> str:
    return f"export of {reference} as {name}"


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _of_run(run_id: str) -> Mapping[str, Any] | None:
    """The comparison that a run keeps whose export was refused."""
    with import_lock:
        from registry import report_files
    return report_files.load_json(run_id, PROOF) if run_id else None
