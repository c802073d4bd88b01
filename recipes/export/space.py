"""A Hugging Face Space: a page on which base and version answer side by side, with both inside."""

import json
import shutil
from importlib.metadata import version as installed
from pathlib import Path

import yaml

from recipes.export.config import ExportConfig
from recipes.export.layouts import Source, write_adapter, write_merged
from recipes.export.licenses import license_of
from recipes.export.prompts import SINGLE
from recipes.version_models import locate
from train.base_model import copy_files

APP = Path(__file__).with_name("templates") / "app.py"
PACKAGES = ("gradio", "peft", "safetensors", "torch", "transformers")


def write(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write the app with its requirements and front matter, the version, and its base where that is known.

    Raises:
        UserError: the licence of the base is not known.
    """
    front = {
        "title": source.name,
        "emoji": "\U0001f4ac",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": installed("gradio"),
        "python_version": "3.11",
        "app_file": "app.py",
        "license": license_of(source.location.info.base_model, source.location.base, config.license),
    }
    base_name = source.location.info.base_model or "(unknown)"
    text = f"{source.name} and its base {base_name} get the same prompts and answer greedily."
    head = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n"
    (folder / "README.md").write_text(f"{head}# {source.name}\n\n{text}\n", encoding="utf-8")
    pins = "".join(f"{name}=={installed(name).partition('+')[0]}\n" for name in PACKAGES)
    (folder / "requirements.txt").write_text(pins, encoding="utf-8")
    settings = {
        "title": f"{source.name} and its base",
        "text": text,
        "labels": {"base": source.location.info.base_model or "base", "version": source.name},
        "examples": list(SINGLE[:4]),
    }
    (folder / "settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    shutil.copyfile(APP, folder / "app.py")
    base = _base_folder(source)
    if base:
        (folder / "base").mkdir()
        copy_files(base, folder / "base")
    (folder / "version").mkdir()
    (write_adapter if source.is_adapter else write_merged)(source, folder / "version")


def _base_folder(source: Source) -> Path | None:
    """Where the base's files are; None where the version names no base."""
    if source.is_adapter or not source.location.info.base_model:
        return source.location.base if source.is_adapter else None
    return locate(f"{source.name}:base").folder
