"""Token lengths of a job's files, checked when it is created: rows longer than the model's positions are cut there."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.chat_format import answer_directly
from data.errors import UserError
from serve.base_facts import facts_of, tokenizer_in
from serve.errors import RequestError
from serve.store import files, training_file
from serve.store.database import Database
from train.encoding import Example, encode

#: The training process alone checks files of more rows: tokenizing them would take longer than a request may.
MAX_ROWS = 5000
PARAMS = ("training_file", "validation_file")


def warnings_of(database: Database, fields: Mapping[str, Any], base: str) -> dict[str, str]:
    """Messages about the files of the job that ``fields`` describe, trained on ``base``, by the marks of their events.

    A base that is not on this machine yet, and a large file, are checked by the training process.

    Raises:
        RequestError: a file is missing, or a row leaves nothing to train on.
    """
    facts = facts_of(base)
    if facts is None or fields["method"] != "supervised":
        return {}
    found = {}
    for param in PARAMS:
        rows = _rows(database, fields[param], param) if fields[param] else []
        try:
            with tokenizer_in(facts.folder) as tokenizer:
                if not any(each.has_thoughts for each in rows):
                    answer_directly(tokenizer)
                examples = encode(rows, tokenizer, "response", facts.positions)
        except UserError as error:
            message = f"{param}: {'; '.join(str(error).splitlines())}"
            raise RequestError(message, param=param, code="invalid_training_file") from error
        found[f"cut-{param}"] = cut_message(examples, facts.positions, param)
    return {mark: message for mark, message in found.items() if message}


def _rows(database: Database, file_id: str, param: str) -> list[Any]:
    with database.read() as connection:
        row = files.row_of(connection, file_id, param)
    if row["kind"] != "supervised" or row["rows"] > MAX_ROWS:
        return []
    with tempfile.TemporaryDirectory(prefix="parley-lengths-") as folder:
        return training_file.rows(files.save_in(database, file_id, Path(folder)))


def cut_message(examples: Sequence[Example], positions: int, param: str) -> str:
    """How many rows are cut, and where; empty where none is."""
    cut = [example for example in examples if example.truncated]
    if not cut:
        return ""
    longest = max(len(example.input_ids) + example.cut for example in cut)
    return (
        f"{len(cut)} of {len(examples)} rows of {param} are cut at {positions} tokens, the positions of the base model "
        f"(the longest row has {longest}): what comes after is not trained on"
    )
