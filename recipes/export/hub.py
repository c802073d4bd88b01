"""A repository for the Hugging Face hub: the adapter or the whole model with a card, written and uploaded."""

import os
import re
from pathlib import Path

import yaml

from data.errors import UserError, first_line
from recipes.export.config import ExportConfig
from recipes.export.layouts import Source, write_adapter, write_merged
from recipes.export.licenses import license_of
from train.base_model import hub_problem

TOKEN = "HF_TOKEN"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def require_ready(config: ExportConfig) -> None:
    """Check what an upload needs, before anything is loaded.

    Raises:
        UserError: the repository is not named, there is no token in the environment, or no network.
    """
    if config.dry_run:
        return
    if not HUB_ID.fullmatch(config.repository):
        raise UserError("to=hub: repository names where it goes, such as repository=ann/pirate (or set dry_run=true)")
    if not os.environ.get(TOKEN):
        raise UserError(f"to=hub: set {TOKEN} in the environment to a token that may write (or set dry_run=true)")
    problem = hub_problem()
    if problem:
        raise UserError(f"to=hub: {problem}; dry_run=true writes the folder only")


def write(source: Source, folder: Path, config: ExportConfig) -> None:
    """Write the adapter in PEFT's layout, or a whole model in Transformers', and the card.

    Raises:
        UserError: the licence of the base is not known.
    """
    found = card(source, config)
    (write_adapter if source.is_adapter else write_merged)(source, folder)
    (folder / "README.md").write_text(found, encoding="utf-8")


def card(source: Source, config: ExportConfig) -> str:
    """The version's card with the metadata that the hub reads: licence and id of the base, library, tags.

    Raises:
        UserError: the licence of the base is not known.
    """
    metadata = {
        "license": license_of(source.location.info.base_model, source.location.base, config.license),
        "library_name": "peft" if source.is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["parley", *(["lora"] if source.is_adapter else [])],
        **({"base_model": source.base_name} if HUB_ID.fullmatch(source.base_name) else {}),
    }
    from registry import versions  # MLflow, which other formats do not need

    text = versions.description(versions.resolve(source.name)) or f"# {source.name}\n"
    note = "proof.md: its answers here, read by another process, compared with those of the registered version."
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n{text}\n{note}\n"


def upload(name: str, folder: Path, config: ExportConfig) -> None:
    """Upload the folder to the repository, which is made where there is none; nothing on a dry run.

    Raises:
        UserError: the hub refuses it, or can't be reached.
    """
    if config.dry_run:
        return
    from huggingface_hub import HfApi

    api = HfApi(token=os.environ[TOKEN])
    try:
        api.create_repo(config.repository, exist_ok=True)
        api.upload_folder(repo_id=config.repository, folder_path=folder, commit_message=f"Parley export of {name}")
    except Exception as error:  # what the client raises changes between releases
        raise UserError(f"to=hub: {config.repository} was not uploaded: {first_line(error)}") from error
