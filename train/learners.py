"""The pupil that a config asks for; each is imported only where it is asked for."""

from train.config import NoisyConfig
from train.pupils import Pupil


def make(config: NoisyConfig) -> Pupil:
    """The pupil that ``config`` asks for.

    Raises:
        UserError: its base can't be had.
    """
    if config.is_remote:
        from train.api_pupil import ApiPupil

        return ApiPupil(config)
    if config.learner == "tfidf":
        from train.tfidf_pupil import TfidfPupil

        return TfidfPupil(config)
    from train.model_pupil import ModelPupil

    return ModelPupil(config)
