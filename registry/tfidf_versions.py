"""TF-IDF versions: written as plain numbers and words, logged, and proven by reloading."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from data.errors import UserError
from registry.runs import Run
from registry.versions import _active

CODE = Path(__file__).with_name("tfidf_model.py")
TOLERANCE = 1e-9
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string")]),
    outputs=Schema([ColSpec("string")]),
    params=ParamSchema([ParamSpec("probability", "boolean", False)]),
)


def write(
    folder: Path, words: Sequence[str], labels: Sequence[str], pattern: str, idf: Any, weight: Any, bias: float
) -> None:
    """Write what ``registry/tfidf_model.py`` reads: ``words.json`` and ``weights.safetensors``."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    about = {"labels": list(labels), "pattern": pattern, "words": list(words)}
    (folder / "words.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    tensors = {"idf": np.asarray(idf), "weight": np.asarray(weight), "bias": np.array([bias])}
    save_file({name: np.ascontiguousarray(t, dtype=np.float64) for name, t in tensors.items()},
              folder / "weights.safetensors")  # fmt: skip


def log_model(run: Run, folder: Path, example: str) -> str:
    """Log the ``folder`` that ``write`` made under ``run`` and return the model's URI."""
    with _active(run.run_id), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        info = mlflow.pyfunc.log_model(
            name="tuned",
            python_model=str(CODE),
            artifacts={"weights": str(folder)},
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in ("mlflow", "numpy")],
            signature=SIGNATURE,
            metadata={"prompt_example": example},
        )
    return info.model_uri


@contextmanager
def settings_unlogged() -> Iterator[None]:
    """While a model is logged, let MLflow not complain that its settings are no params of the run.

    It logs ``model_config`` as params too, where ``kind`` (lora) would change the run's own ``kind`` (symmetric).
    """
    logger = logging.getLogger("mlflow.models.model")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def verify(uri: str, texts: Sequence[str], p_positive: Sequence[float]) -> float:
    """Load the logged model anew and compare its probabilities; returns the largest difference.

    Raises:
        UserError: one differs by more than 1e-9: nothing may be registered then.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loaded = mlflow.pyfunc.load_model(uri)
    answers = [float(value) for value in loaded.predict(list(texts), params={"probability": True})]
    worst = max((abs(a - b) for a, b in zip(answers, p_positive, strict=True)), default=0.0)
    if not worst <= TOLERANCE:
        raise UserError(f"the reloaded model is not the trained one (off by {worst:.2g}): nothing was registered")
    return worst
