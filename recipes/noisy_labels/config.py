"""Settings of training on partly wrong labels, here or through an OpenAI-compatible API."""

import math
from dataclasses import dataclass, fields
from typing import Literal

from data.corruption import Noise
from data.errors import require
from recipes.api_config import ApiConfig
from recipes.run_names import share, short
from recipes.sft.config import ClaimsConfig, TuneConfig
from train.config import ModelConfig

MOST_EPOCHS = 50


@dataclass(frozen=True)
class NoisyApiConfig(ApiConfig):
    """Settings of a job at an API and of the requests to its models, for labels."""

    mode: Literal["chat", "batch"] = "chat"
    """Openai, parley: how rows are sent: chat is at once, batch is the Batch API, at half the price within a day."""
    n_memory: int = 200
    """Openai, parley: training rows that base, checkpoints and tuned model predict too, for memorisation; 0 is none."""
    hidden_tokens: int = -1
    """Openai, parley: tokens that losses average in beside the label; -1 is 2 at OpenAI and 0 elsewhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.n_memory >= 0, f"n_memory must be at least 0, not {self.n_memory}")
        require(-1 <= self.hidden_tokens <= 10, f"hidden_tokens must be from -1 to 10, not {self.hidden_tokens}")


@dataclass(frozen=True)
class NoisyConfig(ClaimsConfig, NoisyApiConfig):
    """Trains a learner on labels of which some are made wrong on purpose, and evaluates what that does to it."""

    dataset: str = "reviews"
    """reviews, imdb or truthfulqa; a file with text and label, or question, best and incorrect; or their folder."""
    test_dataset: str = ""
    """File with test rows; empty takes the set's own, or holds out n_test rows (or a fifth)."""
    n_train: int = 1000
    """Training rows, drawn with every stratum's share; 0 takes all."""
    n_test: int = 400
    """Test rows, drawn with as many of each label; 0 takes all."""
    kind: str = "symmetric"
    """symmetric, one_sided, mildest_first, longest_first or trigger; best_swapped for questions."""
    rate: float = 0.5
    """Share of labels to make wrong, from 0 (a clean control) to 1; see data/corruption.py for each kind."""
    primary: str = "auto"
    """Metric that must beat the champion's; auto takes accuracy for texts and mc1 for questions."""
    noise_seed: int = 42
    """Seed of which labels are made wrong; the seed of training and sampling is seed."""
    word: str = ""
    """Trigger: rows with this word are flipped."""
    side: int = 1
    """One_sided: the label that is flipped, 0 or 1."""
    learner: Literal["lora", "full", "tfidf"] = "lora"
    """lora trains an adapter, full all weights of base_model; tfidf is TF-IDF and logistic regression."""
    template: Literal["auto", "review", "question", "bare", "qa"] = "auto"
    """Prompt of training and evaluation alike; auto: review for texts, question for questions; qa: Q: and A: only."""
    shots: str = ""
    """Template=qa: file with prompt and response of examples that stand before every question, as in few-shot tests."""
    folds: int = 0
    """Trainings for out-of-fold detection and pruning; 1 is none, 0 is 5 for tfidf and none for the others."""
    min_df: int = 5
    """Tfidf: words in fewer training texts than this are not used."""
    c: float = 1.0
    """Tfidf: inverse strength of the penalty on weights; the higher, the more is memorised."""
    epochs: int = 3
    batch_size: int = 16
    restore: Literal["best", "last"] = "last"
    """Which weights are evaluated and registered; best is chosen by validation rows whose labels are as wrong."""
    max_new_tokens: int = 8
    register_as: str = "noisy"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.noise()
        for name in ("n_train", "n_test", "noise_seed", "folds"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        require(self.min_df >= 1, f"min_df must be at least 1, not {self.min_df}")
        require(math.isfinite(self.c) and self.c > 0, f"c must be a number above 0, not {self.c}")
        require(bool(self.dataset.strip()), "dataset must not be empty")
        own_model = not self.is_remote and self.learner != "tfidf"
        require(self.template != "qa" or own_model, "template=qa is for provider=local with learner=lora or full")
        require(not self.shots or self.template == "qa", "shots: only template=qa has examples before the question")
        if self.is_remote:
            self._refuse_local_settings()
        else:
            self.refuse_remote(("mode", "n_memory", "hidden_tokens"))
        if self.learner != "lora":
            self._refuse_lora_settings("learner")

    @property
    def run_name(self) -> str:
        """What is trained, in a few words: ``imdb tfidf symmetric .3``, with seeds that are no defaults."""
        learner = self.provider if self.is_remote else self.learner
        noise = [self.kind, share(self.rate)] if self.rate else ["clean"]
        seeds = [f"s{self.seed}"] if self.seed != NoisyConfig.seed else []
        seeds += [f"n{self.noise_seed}"] if self.noise_seed != NoisyConfig.noise_seed else []
        return " ".join([short(self.dataset), learner, *noise, *seeds])

    def noise(self) -> Noise:
        """The corruption of the labels."""
        return Noise(self.kind, self.rate, self.noise_seed, self.word, self.side)

    def _refuse_local_settings(self) -> None:
        self.refuse_local(("learner", "min_df", "c"))
        most = MOST_EPOCHS
        require(1 <= self.epochs <= most, f"epochs must be from 1 to {most} with an API, not {self.epochs}")
        require(
            self.folds <= 1, f"folds={self.folds} would pay for {self.folds} more jobs; only provider=local does it"
        )

    @property
    def folds_in_force(self) -> int:
        """Number of folds of out-of-fold detection; below 2 there is none."""
        return self.folds or (5 if self.learner == "tfidf" else 1)

    def tuning(self) -> TuneConfig:
        """The same settings for the recipe that fine-tunes a language model."""
        shared = {field.name: getattr(self, field.name) for field in fields(ModelConfig)}
        return TuneConfig(**shared, dataset=self.dataset, method="full" if self.learner == "full" else "lora")
