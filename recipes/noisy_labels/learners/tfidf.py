"""TF-IDF with logistic regression as a learner, through the same steps as a language model."""

from collections.abc import Sequence

from data.errors import DataError
from data.labelled import AnyRow, label_counts
from evals.classification import Prediction, from_probabilities
from evals.label_errors import Fit
from recipes.noisy_labels import tfidf
from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.data import NoisyData, TokenLimits
from recipes.noisy_labels.learners.base import LocalLearner, LogProbs, Registrable
from recipes.noisy_labels.tfidf import TfidfClassifier, Vectors
from registry import tfidf_versions
from registry.runs import Run

#: Number of test texts that the reloaded model is compared on.
PROBED = 50


class TfidfLearner(LocalLearner):
    """Its base predicts the shares of the given labels: the same answer to every row."""

    kind = "tfidf"
    base = "label shares"
    base_digest = ""
    base_source = ""
    step = 0

    def __init__(self, config: NoisyConfig) -> None:
        self.config = config
        self.classifier: TfidfClassifier | None = None

    def token_limits(self) -> TokenLimits:
        """Whole texts, of any length."""
        return TokenLimits()

    def start(self, data: NoisyData, run: Run) -> list[str]:
        """Compute the TF-IDF features of the training rows, which use no labels."""
        if data.dataset.is_questions:
            raise DataError(["learner=tfidf tells two classes of texts apart; for questions take learner=lora or full"])
        self.data = data
        self.vectors = Vectors(data.train.rows, self._settings(), others=data.test)
        zeros, ones = label_counts(data.train.rows)
        self.share = ones / (zeros + ones)
        return [
            f"Learner TF-IDF of {len(self.vectors.words):,} words and logistic regression (C={self.config.c:g})",
            *(f"Note    {note}" for note in self.vectors.notes),
        ]

    def predict(self, rows: Sequence[AnyRow]) -> list[Prediction]:
        """The likelier label of each row and its probability."""
        p_positive = self.classifier.p_positive(rows) if self.classifier else [self.share] * len(rows)
        return from_probabilities(p_positive, self.data.labels)

    score_labels = predict

    def score_choices(self, rows: Sequence[AnyRow]) -> list[LogProbs | None]:
        """It classifies texts: questions are refused."""
        raise NotImplementedError

    def train(self, run: Run) -> str:
        """Fit; it takes seconds, so an interrupted run begins anew."""
        self.classifier = self.vectors.fit(self.data.train.rows, self.data.given, self.data.labels)
        self.step = 1
        return f"TF-IDF on {len(self.data.train.rows):,} rows"

    def kept_steps(self) -> Sequence[int]:
        """The one fit."""
        return (1,)

    def load_checkpoint(self, step: int) -> None:
        """Nothing to load: there is one fit."""

    def fit(self, run: Run) -> Fit:
        """A fit of the same features on other rows."""
        return self.vectors.fit

    def save(self, run: Run) -> Registrable:
        """Write words and numbers; the reloaded model's probabilities are compared with the fitted one's."""
        assert self.classifier
        folder = run.folder / "tfidf"
        vectorizer, regression = self.vectors.vectorizer, self.classifier.regression
        tfidf_versions.write(
            folder,
            self.vectors.words,
            self.data.labels,
            vectorizer.token_pattern,
            vectorizer.idf_,
            regression.coef_[0],
            float(regression.intercept_[0]),
            (1 - self.share, self.share),
        )
        rows = self.data.test[:PROBED]
        texts, p_positive = [row.text for row in rows], self.classifier.p_positive(rows).tolist()
        run.text("\n".join(f"{e['weight']:+.3f} {e['word']}" for e in self.classifier.strongest()) + "\n", "words.txt")
        return Registrable(tfidf_versions.TfidfFiles(folder, texts, p_positive), {"words": len(self.vectors.words)})

    def _settings(self) -> tfidf.Settings:
        return tfidf.Settings(self.config.min_df, self.config.c)
