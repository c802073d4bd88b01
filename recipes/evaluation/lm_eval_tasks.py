"""Tasks of lm-eval (EleutherAI's lm-evaluation-harness), run in this process on a model that is already loaded."""

import logging
import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import UserError, first_line
from evals.bootstrap import OfSums
from evals.paired import ratio
from recipes.evaluation.comparison import Measured

BATCH = 16
#: lm-eval's aggregations that are functions of sums over items, by name.
AGGREGATIONS: dict[str, OfSums] = {
    "mean": ratio,
    "perplexity": lambda sums: np.exp(-ratio(sums)),
    "weighted_perplexity": lambda sums: np.exp(-ratio(sums)),
    "bits_per_byte": lambda sums: -ratio(sums) / math.log(2),
}


def require_installed() -> None:
    """Check that lm-eval is there.

    Raises:
        UserError: it is not.
    """
    if not find_spec("lm_eval"):
        raise UserError("suite=lm_eval: needs lm-eval, which is optional: pip install -r requirements-eval.txt")


class Tasks:
    """Tasks by their names or YAML files; ``measure`` runs them on a model.

    Raises:
        UserError: there is no such task, or its data can't be loaded.
    """

    def __init__(self, names: Sequence[str], limit: int = 0, chat: bool = False, seed: int = 0) -> None:
        from lm_eval.tasks import TaskManager

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self.limit, self.chat, self.seed = limit, chat, seed
        files = [name for name in names if name.endswith((".yaml", ".yml"))]
        self.manager = TaskManager(include_defaults=len(files) < len(names))
        self.tasks: dict[str, Any] = {}
        for name in names:
            self.tasks |= self._load(name, name in files)

    def _load(self, name: str, is_file: bool) -> Mapping[str, Any]:
        if is_file and not Path(name).is_file():
            raise UserError(f"suite: there is no file {name}")
        if not is_file and name not in self.manager.all_tasks:
            raise UserError(f"suite: lm-eval has no task {name!r}; for one of your own give its YAML file")
        try:
            return self.manager.load([_config(Path(name)) if is_file else name])["tasks"]
        except Exception as error:  # a task is a program, and its data come from anywhere
            raise UserError(f"suite: the task {name} can't be loaded: {first_line(error)}") from error

    def measure(self, model: Any, tokenizer: Any) -> Measured:
        """The model's metrics as ``TASK/METRIC``, or ``TASK/FILTER/METRIC`` where a task has several filters."""
        from lm_eval.evaluator import evaluate
        from lm_eval.models.huggingface import HFLM

        make: Any = HFLM  # a decorator of theirs hides its arguments from type checkers
        for task in self.tasks.values():  # as simple_evaluate does, which would also describe the machine, for seconds
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=self.seed)
        found = evaluate(
            lm=make(pretrained=model, tokenizer=tokenizer, batch_size=BATCH),
            task_dict={"tasks": self.tasks, "groups": {}, "group_map": {}},
            limit=self.limit or None,
            bootstrap_iters=0,
            apply_chat_template=self.chat,
            fewshot_as_multiturn=True,
        )
        assert found
        return measured(found, {name: task.aggregation() for name, task in self.tasks.items()})


def _config(file: Path) -> dict[str, Any]:
    """The task in a YAML file; names of data files are looked up in the file's own folder first."""
    from lm_eval.tasks._yaml_loader import load_yaml

    config = dict(load_yaml(file, resolve_func=True, recursive=True))
    given = config.get("dataset_kwargs") or {}
    if "data_files" in given:
        config["dataset_kwargs"] = {**given, "data_files": _beside(given["data_files"], file.parent)}
    return config


def _beside(names: Any, folder: Path) -> Any:
    if isinstance(names, Mapping):
        return {split: _beside(each, folder) for split, each in names.items()}
    if isinstance(names, list):
        return [_beside(each, folder) for each in names]
    place = (folder / str(names)).resolve()
    return str(place) if place.exists() else names


def measured(found: Mapping[str, Any], aggregations: Mapping[str, Mapping[str, Any]]) -> Measured:
    """What lm-eval returned as values, and as statistics of each item.

    Args:
        aggregations: by task and metric, the function from all items to the metric.
    """
    values: dict[str, float] = {}
    items: dict[str, dict[str, tuple[float, ...]]] = {}
    of_sums: dict[str, OfSums] = {}
    for task, samples in found["samples"].items():
        filters = {sample["filter"] for sample in samples}
        for key, value in found["results"][task].items():
            metric, _, kept = key.partition(",")
            if kept in filters and not metric.endswith("_stderr") and isinstance(value, int | float):
                values[_name(task, kept, metric, filters)] = float(value)
        for sample in samples:
            for metric in sample["metrics"]:
                combine = AGGREGATIONS.get(getattr(aggregations[task].get(metric), "__name__", ""))
                name, row = _name(task, sample["filter"], metric, filters), _statistics(sample[metric])
                if combine and row:
                    items.setdefault(name, {})[f"{sample['doc_id']}-{sample['doc_hash'][:12]}"] = row
                    of_sums[name] = combine
    return Measured(values, items, of_sums)


def _name(task: str, kept: str, metric: str, filters: set[str]) -> str:
    return f"{task}/{kept}/{metric}" if len(filters) > 1 else f"{task}/{metric}"


def _statistics(value: Any) -> tuple[float, ...]:
    """An item's value and a count of 1, or its value and weight; empty where it is neither."""
    if isinstance(value, bool | int | float | np.number):
        return float(value), 1.0
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(each, int | float) for each in value):
        return float(value[0]), float(value[1])
    return ()
