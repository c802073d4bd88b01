"""TF-IDF versions: written as numbers and words, logged as models, and verified by reloading."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

from data.errors import UserError, first_line
from registry.runs import Run
from registry.versions import Version, logging_models

CODE = Path(__file__).with_name("tfidf_model.py")
TOLERANCE = 1e-9
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string")]),
    outputs=Schema([ColSpec("string")]),
    params=ParamSchema([ParamSpec("probability", "boolean", False)]),
)


def write(
    folder: Path,
    words: Sequence[str],
    labels: Sequence[str],
    pattern: str,
    idf: Any,
    weight: Any,
    bias: float,
    shares: Sequence[float],
) -> None:
    """Write what ``registry/tfidf_model.py`` reads: ``words.json`` and ``weights.safetensors``.

    ``shares``: of each label among those that were trained on, which is what the base predicts.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    about = {"labels": list(labels), "shares": list(shares), "pattern": pattern, "words": list(words)}
    (folder / "words.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
    tensors = {"idf": np.asarray(idf), "weight": np.asarray(weight), "bias": np.array([bias])}
    save_file({name: np.ascontiguousarray(t, dtype=np.float64) for name, t in tensors.items()},
              folder / "weights.safetensors")  # fmt: skip


def log_model(run: Run, folder: Path, example: str) -> str:
    """Log the ``folder`` that ``write`` made under ``run`` and return the model's URI."""
    with logging_models(run.run_id):
        info = mlflow.pyfunc.log_model(
            name="tuned",
            python_model=str(CODE),
            artifacts={"weights": str(folder)},
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in ("mlflow", "numpy")],
            signature=SIGNATURE,
            metadata={"prompt_example": example},
        )
    return info.model_uri


def verify(uri: str, texts: Sequence[str], p_positive: Sequence[float]) -> float:
    """Load the logged model anew and compare its probabilities; returns the largest difference.

    Raises:
        UserError: one differs by more than 1e-9, so nothing may be registered.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loaded = mlflow.pyfunc.load_model(uri)
    answers = [float(value) for value in loaded.predict(list(texts), params={"probability": True})]
    worst = max((abs(a - b) for a, b in zip(answers, p_positive, strict=True)), default=0.0)
    if not worst <= TOLERANCE:
        raise UserError(f"the reloaded model is not the trained one (off by {worst:.2g}): nothing was registered")
    return worst


@lru_cache(8)
def _classifier(uri: str) -> Any:
    return mlflow.pyfunc.load_model(uri).unwrap_python_model()


def probabilities(version: Version, text: str) -> list[tuple[str, float]]:
    """Each label of a TF-IDF version and its probability for ``text``, the likeliest first.

    Raises:
        UserError: its files are missing or broken.
    """
    model = _loaded(version)
    positive = model.p_positive(text)
    return _likeliest_first(model.labels, (1 - positive, positive))


def label_shares(version: Version) -> list[tuple[str, float]]:
    """What the base of a TF-IDF version predicts for every text: the shares of the labels that it was trained on.

    Raises:
        UserError: its files are missing or broken, or older than these shares.
    """
    model = _loaded(version)
    shares = getattr(model, "shares", ())  # the version's own code reads it, which may be older
    if not shares:
        raise UserError(f"{version.reference} keeps no shares of its labels, which its base predicts; train it again")
    return _likeliest_first(model.labels, shares)


def _loaded(version: Version) -> Any:
    try:
        return _classifier(version.source)
    except (MlflowException, OSError, AttributeError, KeyError, ValueError) as error:
        raise UserError(f"{version.reference} can't be loaded: {first_line(error)}") from error


def _likeliest_first(labels: Sequence[str], p: Sequence[float]) -> list[tuple[str, float]]:
    return sorted(zip(labels, p, strict=True), key=lambda pair: -pair[1])


@dataclass(frozen=True)
class TfidfFiles:
    """A fitted classifier as ``write`` wrote it to ``folder``, and its probabilities ``p_positive`` for ``texts``."""

    folder: Path
    texts: Sequence[str]
    p_positive: Sequence[float]

    def log(self, run: Run) -> str:
        """Log the folder under ``run``; returns the model's URI."""
        return log_model(run, self.folder, self.texts[0])

    def verify(self, uri: str) -> None:
        """Compare the probabilities of the model at ``uri`` with those in memory.

        Raises:
            UserError: one differs by more than 1e-9.
        """
        verify(uri, self.texts, self.p_positive)
