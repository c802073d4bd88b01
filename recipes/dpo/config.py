"""Settings of training on preferences."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from data.errors import require
from recipes.api_config import ApiConfig
from recipes.run_names import share, short
from recipes.sft.config import TuneConfig
from train.config import PreferenceSettings

VOTES = "votes"


@dataclass(frozen=True)
class DpoConfig(ApiConfig, TuneConfig):
    """How a model is trained on preferences: of two answers to one prompt, which one was chosen."""

    dataset: str = "terse"
    """terse (bundled), votes (people's votes in the registry), a file of preferences, or a data set on the hub."""
    test_dataset: str = ""
    """Held-out preferences; empty takes the set's own, or a fifth of the rows, chosen by their prompts."""
    start: str = ""
    """What training starts from, and its reference: a registered version such as pirate/3; empty is base_model."""
    loss: Literal["dpo", "ipo", "orpo", "kto"] = "dpo"
    """dpo, ipo, orpo (without a reference), or kto (answers rated good or bad; pairs are taken apart)."""
    beta: float = 0.1
    """How strongly the model is held to its reference; of orpo, the weight of the odds ratio."""
    label_smoothing: float = 0.0
    """dpo: the share of pairs that is taken to be the wrong way round."""
    sft_weight: float = -1.0
    """Weight of the chosen answers' cross-entropy, added to the loss; -1 is 1, and 0 for orpo, which has its own."""
    versions: str = ""
    """dataset=votes: votes between these comma-separated versions or models only, such as pirate/3,pirate/4."""
    since: str = ""
    """dataset=votes: votes from this day on, as 2026-11-28."""
    pairs: Literal["blind", "all"] = "blind"
    """dataset=votes: votes that were cast before the versions were shown, or all."""
    rate: float = 0.0
    """Share of the training preferences that is turned round on purpose."""
    noise_seed: int = 42
    """Seed of which ones these are."""
    register_as: str = "dpo"
    """Name of the registered model that gets a new version."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(math.isfinite(self.beta) and self.beta > 0, f"beta must be a finite number above 0, not {self.beta}")
        require(
            math.isfinite(self.sft_weight) and (self.sft_weight >= 0 or self.sft_weight == DpoConfig.sft_weight),
            f"sft_weight must be a finite number of at least 0, or -1 for the default, not {self.sft_weight}",
        )
        smooth = self.label_smoothing
        require(0 <= smooth < 0.5, f"label_smoothing must be at least 0 and under 0.5, not {smooth}")
        require(not smooth or self.loss == "dpo", f"label_smoothing applies to loss=dpo only, not to loss={self.loss}")
        require(0 <= self.rate <= 1, f"rate is a share, from 0 to 1, not {self.rate}")
        require(self.labels == "response", "labels=all is for -e pirate: preferences are between answers")
        require(self.noise_seed >= 0, f"noise_seed must be at least 0, not {self.noise_seed}")
        require(not self.start or self.base_model == "auto", "give start or base_model, not both")
        self._check_votes()
        self._check_provider()

    def _check_provider(self) -> None:
        local = (
            "method",
            "distributed",
            "suites",
            "seeds",
            "stop_on",
            "start",
            "loss",
            "label_smoothing",
            "sft_weight",
        )
        if self.is_remote:
            self.refuse_local(local)
        else:
            self.refuse_remote(("dry_run",))

    def _check_votes(self) -> None:
        given = [n for n in ("versions", "since", "pairs") if getattr(self, n) != getattr(DpoConfig, n)]
        require(self.dataset == VOTES or not given, f"{', '.join(given)} only apply to dataset=votes")
        try:
            assert not self.since or datetime.strptime(self.since, "%Y-%m-%d")
        except ValueError:
            require(False, f"since must be a day such as 2026-11-28, not {self.since!r}")

    @property
    def run_name(self) -> str:
        """What is trained, in a few words: ``terse dpo lora e3 s7``, with the share turned round where there is one."""
        turned = [share(self.rate)] if self.rate else []
        return " ".join([short(self.dataset), self.loss, self.method, *turned, self._length_and_seed()])

    @property
    def settings(self) -> PreferenceSettings:
        """Those of the loss."""
        weight = self.sft_weight if self.sft_weight >= 0 else float(self.loss != "orpo")
        return PreferenceSettings(self.beta, self.label_smoothing, weight)

    @property
    def lr_share(self) -> float:
        """The default learning rate over that of supervised fine-tuning.

        Cross-entropy needs the whole of it; a loss of differences alone soon has all that it wants, and what a larger
        step changes beyond that is lost content (docs/log.md).
        """
        return 1.0 if self.settings.sft_weight or self.loss == "orpo" else 0.25
