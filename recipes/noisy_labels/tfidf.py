"""Logistic regression on TF-IDF features of words: seconds where a language model takes hours.

Words are scikit-learn's (lower case, two or more letters or digits), in at least ``min_df`` texts; a word that
occurs ``n`` times counts 1 + ln n. Labels are not used for this, so one matrix serves every corruption of the same
texts (``Vectors``). Everything is deterministic: the solver uses no random numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import ConfigError, DataError
from data.labelled import SENTIMENTS, AnyRow, Labels

#: With fewer training rows than this, ``min_df`` is lowered: few words would be left.
FEW_ROWS = 1000


@dataclass(frozen=True)
class Settings:
    """Settings of features and regression.

    Raises:
        ConfigError: a value out of range, named by its flag.
    """

    min_df: int = 5
    """Words in fewer training texts than this are not used."""
    c: float = 1.0
    """Inverse strength of the penalty on weights: the higher, the more is memorised."""

    def __post_init__(self) -> None:
        if self.min_df < 1:
            raise ConfigError(f"min_df must be at least 1, not {self.min_df}")
        if not self.c > 0 or self.c == float("inf"):
            raise ConfigError(f"c must be a number above 0, not {self.c}")


class TfidfClassifier:
    """A fitted classifier. ``notes`` are sentences about settings that were adjusted."""

    def __init__(self, vectors: "Vectors", model: Any, notes: tuple[str, ...]) -> None:
        self.vectors, self.regression, self.notes = vectors, model, notes

    def p_positive(self, rows: Sequence[AnyRow]) -> np.ndarray:
        """Probability of label 1 for each row, ``[rows]``."""
        if not rows:
            return np.zeros(0)
        return self.regression.predict_proba(self.vectors.of(rows))[:, 1]

    def strongest(self, n: int = 20) -> list[dict[str, Any]]:
        """The words with the greatest weights, ``n`` for either label: records of word and weight, lowest first."""
        weights = self.regression.coef_[0]
        order = np.argsort(weights, kind="stable")
        chosen = order if len(order) <= 2 * n else np.concatenate((order[:n], order[-n:]))
        return [{"word": self.vectors.words[i], "weight": float(weights[i])} for i in chosen]


class Vectors:
    """Texts as rows of a matrix, made once for any number of fits.

    Words and IDF weights come from ``rows`` alone; ``others`` (such as test rows) are only transformed in advance.
    Folds of ``rows`` share the words of all of them, which leaks no label.

    Raises:
        DataError: there is no word in any text.
    """

    def __init__(self, rows: Sequence[AnyRow], settings: Settings = Settings(), others: Sequence[AnyRow] = ()) -> None:
        self.settings = settings
        self.vectorizer, matrix, self.notes = _vectorized([row.text for row in rows], settings.min_df)
        self.words: list[str] = self.vectorizer.get_feature_names_out().tolist()
        self._row_of_text = {row.text: i for i, row in enumerate(rows)}
        self._matrix = matrix
        if others:
            self._row_of_text |= {row.text: matrix.shape[0] + i for i, row in enumerate(others)}
            self._matrix = _stacked(matrix, self.vectorizer.transform([row.text for row in others]))

    def of(self, rows: Sequence[AnyRow]) -> Any:
        """The sparse matrix ``[rows, words]``: by text, so a row with another label is the same row."""
        found = [self._row_of_text.get(row.text) for row in rows]
        if None in found:
            return self.vectorizer.transform([row.text for row in rows])
        return self._matrix[found]

    def fit(self, rows: Sequence[AnyRow], labels: Sequence[int], names: Labels = SENTIMENTS) -> TfidfClassifier:
        """A classifier of ``rows`` (any, usually some of those the words come from) by ``labels``, 0 or 1 each.

        Raises:
            DataError: there are no rows, or all labels are the same.
        """
        from sklearn.linear_model import LogisticRegression

        if len(rows) != len(labels):
            raise ValueError(f"{len(rows)} rows but {len(labels)} labels")
        if len(set(labels)) < 2:
            only = f"all {len(rows):,} labels to learn from are {names[labels[0]]}" if labels else "there are no rows"
            raise DataError([f"{only}; a classifier needs both classes"])
        model = LogisticRegression(C=self.settings.c, max_iter=1000)
        model.fit(self.of(rows), np.asarray(labels))
        return TfidfClassifier(self, model, self.notes)


def fit(rows: Sequence[AnyRow], labels: Sequence[int], settings: Settings = Settings()) -> TfidfClassifier:
    """A classifier of rows by the given labels (``row.label`` is not used).

    Raises:
        DataError: no rows, no words, or one class only.
    """
    if not rows:
        raise DataError(["there are no rows to learn from"])
    return Vectors(rows, settings).fit(rows, labels)


def _vectorized(texts: Sequence[str], min_df: int) -> tuple[Any, Any, tuple[str, ...]]:
    """(the fitted vectorizer, its matrix of the texts, notes on an adjusted ``min_df``)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = min_df if len(texts) >= FEW_ROWS else max(1, min(min_df, len(texts) * min_df // FEW_ROWS))
    for used in sorted({least, 1}, reverse=True):
        vectorizer = TfidfVectorizer(min_df=used, sublinear_tf=True)
        try:
            matrix = vectorizer.fit_transform(texts)
        except ValueError:  # scikit-learn's error where no word is left
            continue
        lowered = f"min_df={used} in place of {min_df}: {len(texts):,} training rows are few"
        return vectorizer, matrix, (lowered,) if used != min_df else ()
    raise DataError([f"none of the {len(texts):,} training texts holds a word of two letters or more"])


def _stacked(first: Any, second: Any) -> Any:
    from scipy.sparse import vstack

    return vstack((first, second), format="csr")
