"""A registered version of the tests' tiny base, in a store of its own, and a local task of lm-eval."""

import json
from pathlib import Path

import pytest
import yaml

from tests.small_version import register_adapter

QUESTIONS = [
    ("What do you call a friend at sea?", ["matey", "table", "pencil"], 0),
    ("What does a ship sail on?", ["the sea", "a chair", "soup"], 0),
    ("What colour is grass?", ["green", "loud", "seven"], 0),
    ("Where does bread come from?", ["a cloud", "an oven", "a shoe"], 1),
    ("What do birds have?", ["wheels", "wings", "keys"], 1),
    ("What do you read?", ["a book", "a spoon", "a door"], 0),
    ("What keeps you dry in rain?", ["sugar", "a song", "an umbrella"], 2),
    ("How many legs has a dog?", ["four", "ninety", "none"], 0),
    ("What do you drink from?", ["a cup", "a wall", "a hat"], 0),
    ("What shines at night?", ["the moon", "a carrot", "a sock"], 0),
]


@pytest.fixture(scope="module")
def version(tiny_base, settle, tmp_path_factory):
    """``pirate/1``, a random adapter, registered in this module's store, in whose folder its tests run."""
    folder = tmp_path_factory.mktemp("evaluated")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        patch.setenv("HF_DATASETS_CACHE", str(folder / "cache"))
        yield register_adapter(tiny_base, folder)


@pytest.fixture(scope="module")
def task_file(tmp_path_factory) -> Path:
    """A multiple-choice task of ten questions, whose data file stands beside it."""
    folder = tmp_path_factory.mktemp("task")
    rows = [{"question": text, "choices": choices, "answer": right} for text, choices, right in QUESTIONS]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    means = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")]
    task = {
        "task": "small_facts",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": "rows.jsonl"}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "metric_list": means,
    }
    path = folder / "task.yaml"
    path.write_text(yaml.safe_dump(task))
    return path
