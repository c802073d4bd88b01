"""The learner that a config asks for; each is imported only where it is asked for."""

from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.learners.base import Learner


def make(config: NoisyConfig) -> Learner:
    """The learner that ``config`` asks for.

    Raises:
        UserError: its base can't be had.
    """
    if config.is_remote:
        from recipes.noisy_labels.learners.openai import OpenAILearner

        return OpenAILearner(config)
    if config.learner == "tfidf":
        from recipes.noisy_labels.learners.tfidf import TfidfLearner

        return TfidfLearner(config)
    from recipes.noisy_labels.learners.language_model import LanguageModelLearner

    return LanguageModelLearner(config)
