"""The pupil that a config asks for; each is imported only where it is asked for."""

from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.learners.base import Pupil


def make(config: NoisyConfig) -> Pupil:
    """The pupil that ``config`` asks for.

    Raises:
        UserError: its base can't be had.
    """
    if config.is_remote:
        from recipes.noisy_labels.learners.openai import ApiPupil

        return ApiPupil(config)
    if config.learner == "tfidf":
        from recipes.noisy_labels.learners.tfidf import TfidfPupil

        return TfidfPupil(config)
    from recipes.noisy_labels.learners.language_model import ModelPupil

    return ModelPupil(config)
