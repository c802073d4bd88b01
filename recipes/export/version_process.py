"""The part of an export that needs the version in memory: it answers, and is written in the format.

It runs in a process of its own that does not import MLflow, and its memory is free before the export is read.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from data.chat_format import chat_format
from data.chat_template import prompt_ids
from data.conversation import Row
from data.errors import UserError
from inference.locations import ModelLocation
from inference.threads import set_threads
from recipes.export.answers import Reference, reference_answers
from recipes.export.config import ExportConfig
from recipes.export.formats import FORMATS
from recipes.export.layouts import Source
from recipes.export.prompts import conversations
from recipes.version_models import load


def write(
    config: ExportConfig, location: ModelLocation, own: Sequence[Row], note: str, folder: Path
) -> Generator[str, None, tuple[Reference, int | None]]:
    """Write the format into ``folder``, with a line for each part of it that is done.

    The version is computed in float32, whatever its base is held in.

    Args:
        own: held-out rows of the version. ``note``: why there are none.

    Returns:
        the version's own answers, and the tokenizer's BOS.

    Raises:
        UserError: the version can't be loaded, or can't be written in this format.
    """
    from inference.batch import positions

    set_threads(config.threads)
    with files_read():
        model, tokenizer = load(replace(location, load="fp32"))
    yield f"Loaded  {sum(each.numel() for each in model.parameters()) / 1e6:,.1f} million weights"
    room = positions(model) - config.max_new_tokens

    def fits(row: Row) -> bool:
        return len(prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system)) <= room

    compared = conversations(own, chat_format(tokenizer).takes_system, fits, note)
    if not compared.rows:
        raise UserError(f"max_new_tokens={config.max_new_tokens}: the model has {positions(model)} positions")
    reference = reference_answers(model, tokenizer, compared.rows, config.max_new_tokens, location.stop_token_ids)
    yield f"Prompts {len(compared.rows)}: {'; '.join(compared.notes) or 'all fixed ones'}"
    FORMATS[config.to].write(Source(location, model, tokenizer, reference), folder, config)
    return reference, tokenizer.bos_token_id


@contextmanager
def files_read() -> Iterator[None]:
    """A context in which Transformers reads each tensor from the file, as it does on Windows, and does not map it.

    A mapped file of 16-bit weights stays in memory until the last one is cast to float32: half as much again.
    """
    from transformers import modeling_utils

    opened: Any = modeling_utils.safe_open
    modeling_utils.safe_open = lambda file, **given: opened(file, **{**given, "backend": "pread"})  # type: ignore
    try:
        yield
    finally:
        modeling_utils.safe_open = opened
