"""Creates the learner that a config names; each is imported only when it is used."""

from recipes.noisy_labels.config import NoisyConfig
from recipes.noisy_labels.learners.base import Learner


def make(config: NoisyConfig) -> Learner:
    """The learner for ``config.provider`` and ``config.learner``.

    Raises:
        UserError: its base model can't be loaded.
    """
    if config.is_remote:
        from recipes.noisy_labels.learners.openai import OpenAILearner

        return OpenAILearner(config)
    if config.learner == "tfidf":
        from recipes.noisy_labels.learners.tfidf import TfidfLearner

        return TfidfLearner(config)
    from recipes.noisy_labels.learners.language_model import LanguageModelLearner

    return LanguageModelLearner(config)
