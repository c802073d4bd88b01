"""The mean of a quantity that people rated on a few items and a model on many: prediction-powered inference."""

from dataclasses import dataclass

import numpy as np

from evals.intervals import LEVEL, Interval


@dataclass(frozen=True)
class PredictionPowered:
    """A mean and its 95 % interval. ``weight`` is that of the model's ratings: 0 leaves them out."""

    value: float
    interval: Interval
    weight: float


def mean(rated: np.ndarray, predicted: np.ndarray, predicted_alone: np.ndarray) -> PredictionPowered:
    """The mean of people's ratings over all items like these.

    The model's mean over many items is corrected by how far it is from people's ratings where both are known
    (Angelopoulos et al., Science 382, 2023); the weight of its ratings is the one with the least variance (PPI++,
    arXiv:2311.01453). Both samples must be of the same kind of items.

    Args:
        rated: people's ratings of ``n`` items.
        predicted: the model's of the same items.
        predicted_alone: the model's of other items.

    Raises:
        ValueError: a sample is empty, or the first two differ in length.
    """
    from scipy.stats import norm

    n, others = len(rated), len(predicted_alone)
    if not n or not others or len(predicted) != n:
        raise ValueError(f"{n} ratings, {len(predicted)} predictions of them and {others} further predictions")
    covariance = float(np.cov(rated, predicted, bias=True)[0, 1])
    variance = float(np.concatenate([predicted, predicted_alone]).var(ddof=1)) if n + others > 1 else 0.0
    weight = float(np.clip(covariance / ((1 + n / others) * variance), 0, 1)) if variance > 0 else 0.0
    corrections = rated - weight * predicted
    value = weight * float(predicted_alone.mean()) + float(corrections.mean())
    error = float(np.sqrt(weight**2 * predicted_alone.var() / others + corrections.var() / n))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    return PredictionPowered(value, (value - half, value + half), weight)
