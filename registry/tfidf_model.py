"""The model that a TF-IDF version is logged as: one file that needs numpy alone and loads without the project.

MLflow runs this file to make the model (models-from-code), so nothing is pickled. Its artifact is a folder with
``words.json`` (words in the order of their weights, the labels and their shares, the pattern that finds words) and
``weights.safetensors`` (``idf`` and ``weight``, one number a word, and ``bias``), read here without any library: eight
bytes of length, a JSON header, then plain little-endian numbers.
"""

import json
import re
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class TfidfModel(PythonModel):
    """Classifies texts into two labels: words weighted by (1 + ln n) * idf, unit length, logistic regression."""

    # predict has no annotations: with them MLflow drops the signature's params. This stops its hint at every load.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Read words and numbers from the artifact."""
        folder = Path(context.artifacts["weights"])
        found = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        self.labels = found["labels"]
        self.shares = found["shares"]
        self.columns = {word: i for i, word in enumerate(found["words"])}
        self.pattern = re.compile(found["pattern"])
        tensors = _read_safetensors(folder / "weights.safetensors")
        self.idf, self.weight, self.bias = tensors["idf"], tensors["weight"], float(tensors["bias"][0])

    def predict(self, context, model_input, params=None):
        """The label of each text, or with ``probability`` the probability of the second label, as texts.

        ``model_input`` is a list of texts or a table whose first column holds them.
        """
        texts = model_input.iloc[:, 0].tolist() if hasattr(model_input, "iloc") else list(model_input)
        p = [self.p_positive(str(text)) for text in texts]
        if (params or {}).get("probability"):
            return [str(value) for value in p]
        return [self.labels[value > 0.5] for value in p]

    def p_positive(self, text: str) -> float:
        """Probability of the second label."""
        counts: dict[int, int] = {}
        for word in self.pattern.findall(text.lower()):
            column = self.columns.get(word)
            if column is not None:
                counts[column] = counts.get(column, 0) + 1
        columns = np.array(sorted(counts), dtype=np.int64)
        values = (1 + np.log([counts[column] for column in columns.tolist()])) * self.idf[columns]
        length = float(np.sqrt((values**2).sum()))
        score = float(values @ self.weight[columns]) / (length or 1.0) + self.bias
        return float(1 / (1 + np.exp(-score))) if score > -700 else 0.0


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, about in header.items():
        if about["dtype"] != "F64":
            raise ValueError(f"{path.name}: {name} is {about['dtype']}, not F64")
        first, end = about["data_offsets"]
        found[name] = np.frombuffer(raw[start + first : start + end], dtype="<f8").reshape(about["shape"])
    return found


mlflow.models.set_model(TfidfModel())
