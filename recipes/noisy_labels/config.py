"""Settings of training on partly wrong labels, here or through an OpenAI-compatible API."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

from data.corruption import Noise
from data.errors import require
from recipes.run_names import share, short
from recipes.sft.config import ClaimsConfig, TuneConfig
from train.config import FitConfig, ModelConfig

#: What is fine-tuned at OpenAI where no model is named.
OPENAI_MODEL = "gpt-4o-mini-2024-07-18"
MOST_EPOCHS = 50


@dataclass(frozen=True)
class ApiConfig:
    """Settings of a job at an API and of the requests to its models."""

    model: str = ""
    """Openai, parley: model to fine-tune; empty is gpt-4o-mini-2024-07-18 and, on a server of our own, base_model."""
    hyperparameters: str = ""
    """Openai, parley: comma-separated name=value, such as batch_size=16; OpenAI's own are auto, others passed on."""
    mode: Literal["chat", "batch"] = "chat"
    """Openai, parley: how rows are sent: chat is at once, batch is the Batch API, at half the price within a day."""
    slots: int = 16
    """Openai, parley: requests on their way at once, as far as the server's rate limits allow."""
    n_memory: int = 200
    """Openai, parley: training rows that base, checkpoints and tuned model predict too, for memorisation; 0 is none."""
    budget_usd: float = 0.0
    """Openai: the most that job and evaluation may cost by the estimate, in the table's currency; 0 sets no limit."""
    prices: str = ""
    """Openai: file with prices of your own, laid out like data/prices.json; empty takes that one."""
    hidden_tokens: int = -1
    """Openai, parley: tokens that losses average in beside the label; -1 is 2 at OpenAI and 0 elsewhere."""
    dry_run: bool = False
    """Stop before anything is trained or sent, with what would be done in the run's dry_run.md."""

    def __post_init__(self) -> None:
        require(1 <= self.slots <= 1000, f"slots must be from 1 to 1000, not {self.slots}")
        require(self.n_memory >= 0, f"n_memory must be at least 0, not {self.n_memory}")
        require(-1 <= self.hidden_tokens <= 10, f"hidden_tokens must be from -1 to 10, not {self.hidden_tokens}")
        budget = self.budget_usd
        require(
            math.isfinite(budget) and budget >= 0, f"budget_usd must be a finite number of at least 0, not {budget}"
        )
        self.given_hyperparameters()

    def given_hyperparameters(self) -> dict[str, Any]:
        """The value of ``hyperparameters`` by name: numbers and booleans as such, everything else as text.

        Raises:
            ConfigError: an item is no name=value, or a known one is out of its range.
        """
        found: dict[str, Any] = {}
        for item in filter(None, map(str.strip, self.hyperparameters.split(","))):
            name, equals, text = (part.strip() for part in item.partition("="))
            require(bool(equals and name and text), f"hyperparameters: {item!r} is no name=value")
            require(name not in found, f"hyperparameters names {name} twice")
            require(name != "n_epochs", "hyperparameters: n_epochs is called epochs here; give epochs instead")
            found[name] = _value(text)
        size, rate = found.get("batch_size", "auto"), found.get("learning_rate_multiplier", "auto")
        whole = isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= 256
        require(size == "auto" or whole, f"hyperparameters: batch_size must be auto or from 1 to 256, not {size}")
        above = isinstance(rate, (int, float)) and not isinstance(rate, bool) and 0 < rate < math.inf
        require(
            rate == "auto" or above, f"hyperparameters: learning_rate_multiplier must be auto or above 0, not {rate}"
        )
        return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@dataclass(frozen=True)
class NoisyConfig(ClaimsConfig, ApiConfig, ModelConfig):
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
    provider: Literal["local", "openai", "parley"] = "local"
    """Where it is trained: here; at OPENAI_BASE_URL (empty: OpenAI); or by a server that is started for the run."""
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
            given = [f.name for f in fields(ApiConfig) if getattr(self, f.name) != f.default and f.name != "dry_run"]
            require(not given, f"{', '.join(given)}: only for provider=openai or parley")
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
        local = [
            f.name for f in fields(FitConfig) if f.name not in ("epochs", "max_length", "seed", "threads", "resume")
        ]
        local += ["base_model"] if self.provider == "openai" else []
        local += ["load", "rank", "alpha", "dropout", "targets", "keep", "learner", "min_df", "c"]
        given = [name for name in local if getattr(self, name) != getattr(NoisyConfig, name)]
        verb = "apply" if len(given) > 1 else "applies"
        require(
            not given,
            f"{', '.join(given)} only {verb} to provider=local; an API takes model, epochs and hyperparameters "
            "(batch_size and learning_rate_multiplier among them)",
        )
        most = MOST_EPOCHS
        require(1 <= self.epochs <= most, f"epochs must be from 1 to {most} with an API, not {self.epochs}")
        require(
            self.folds <= 1, f"folds={self.folds} would pay for {self.folds} more jobs; only provider=local does it"
        )

    @property
    def is_remote(self) -> bool:
        """Whether the model is trained and evaluated through an API."""
        return self.provider != "local"

    @property
    def remote_model(self) -> str:
        """The API's name of the model to fine-tune."""
        return self.model or {"openai": OPENAI_MODEL, "parley": self.served_base}.get(self.provider, "")

    @property
    def served_base(self) -> str:
        """The base model of a server that is started for the run; auto is bundled there."""
        return "bundled" if self.base_model == "auto" else self.base_model

    @property
    def folds_in_force(self) -> int:
        """Number of folds of out-of-fold detection; below 2 there is none."""
        return self.folds or (5 if self.learner == "tfidf" else 1)

    def tuning(self) -> TuneConfig:
        """The same settings for the recipe that fine-tunes a language model."""
        shared = {field.name: getattr(self, field.name) for field in fields(ModelConfig)}
        return TuneConfig(**shared, dataset=self.dataset, method="full" if self.learner == "full" else "lora")
