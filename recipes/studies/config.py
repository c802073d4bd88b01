"""Settings of a study: the grid, what all its cells share, and where they run."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from data.corruption import CORRUPTIONS
from data.errors import ConfigError, require
from recipes.dpo.config import DpoConfig
from recipes.run_names import short

LEARNERS = ("tfidf", "lora", "full")
LOSSES = ("dpo", "ipo", "orpo", "kto")


@dataclass(frozen=True)
class StudyConfig:
    """A grid of trainings, each a run of its own under one parent, and a report over all of them."""

    grid: Literal["noise", "pirate", "preference"] = "noise"
    """noise: kinds, rates, seeds and learners; pirate: sets, lengths, labels; preference: losses, rates."""
    kinds: str = "symmetric,one_sided"
    """Noise: comma-separated kinds of corruption; see kind of noisy."""
    rates: str = "0,0.1,0.3,0.5"
    """Noise, preference: comma-separated shares to make wrong; a clean control (0) is always among them, once."""
    seeds: str = "1,2,3"
    """Comma-separated seeds; each draws rows, chooses the labels made wrong and seeds the training."""
    learners: str = ""
    """Comma-separated: tfidf, lora, full; empty is tfidf for noise and lora for the others, which have no tfidf."""
    sets: str = "tiny,clean,noisy"
    """Pirate: comma-separated training sets of 20, 250 and 500 rows, or files."""
    lengths: str = "3,8,20,60"
    """Pirate: comma-separated numbers of epochs."""
    labels: str = "response,all"
    """Pirate: which tokens are trained, response, all, or both with a comma."""
    losses: str = "dpo,dpo:0.1,ipo"
    """Preference: comma-separated losses of dpo, dpo with label_smoothing as dpo:0.1, ipo, orpo, kto."""
    start: str = ""
    """Preference: the registered version that every training starts from; empty is base_model."""
    dataset: str = "reviews"
    """Noise: reviews, imdb or truthfulqa; a file with text and label, or question, best and incorrect; a folder."""
    test_dataset: str = ""
    """File with test rows; empty takes the set's own, or holds some out."""
    n_train: int = 1000
    """Noise: training rows, drawn with every stratum's share; 0 takes all."""
    n_test: int = 400
    """Noise: test rows, drawn with as many of each label; 0 takes all."""
    word: str = ""
    """Noise: rows with this word are flipped by kind trigger."""
    side: int = 1
    """Noise: the label that kind one_sided flips, 0 or 1."""
    folds: int = 0
    """Noise: trainings for out-of-fold detection; 1 is none, 0 is 5 for tfidf and none for the others."""
    min_df: int = 5
    """Tfidf: words in fewer training texts than this are not used."""
    c: float = 1.0
    """Tfidf: inverse strength of the penalty on weights; the higher, the more is memorised."""
    base_model: str = "auto"
    """Lora and full: auto, smollm2, bundled, a model on the Hugging Face hub, a local folder, or a GGUF file."""
    load: Literal["auto", "bf16", "fp32", "4bit"] = "auto"
    """Lora: how the frozen base is held; see the same parameter of pirate."""
    epochs: int = 3
    """Noise and preference, lora and full: passes over all training rows."""
    lr: float = 0.0
    """Lora and full: peak learning rate; 0 takes the default for the method and the base's size."""
    batch_size: int = 0
    """Lora and full: rows of one forward and backward pass; 0 is 16 for noise and 8 for the others."""
    rank: int = 16
    """Lora: rank of the update."""
    max_length: int = 256
    """Lora and full: tokens of one example."""
    max_new_tokens: int = 0
    """Lora and full: longest answer in tokens; 0 is 8 for noise and 64 for the others."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Lora and full: arithmetic of the forward and backward pass."""
    claims: str = ""
    """YAML file of claims and keeps that every cell is held against; empty takes those of its own recipe."""
    register_as: str = "study"
    """Name of the registered model whose versions the cells become."""
    engine: Literal["local", "ray"] = "local"
    """local: processes on this machine; ray: Ray's scheduler, on all machines of its cluster."""
    jobs: int = 0
    """Cells at once on this machine; 0 is one a core. A cluster decides that itself."""
    ray_address: str = ""
    """Ray: the cluster's address, such as auto or 10.0.0.1:6379; empty starts Ray on this machine."""
    retries: int = 3
    """Ray: how often a cell whose machine died is begun anew elsewhere."""
    resume: str = ""
    """Run id of an interrupted study to go on with: cells that ended are not run again."""

    def __post_init__(self) -> None:
        for name, read in LISTS.items():
            parse_list(name, getattr(self, name), read)
        for name in ("jobs", "retries", *PER_GRID):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        require(self.engine == "ray" or not self.ray_address, "ray_address only applies to engine=ray")
        require(self.grid == "noise" or "tfidf" not in self.all("learners"), f"grid={self.grid} has no learner tfidf")
        require(self.grid == "preference" or not self.start, "start only applies to grid=preference")
        require("trigger" in self.all("kinds") or not self.word, "word only applies to kinds=trigger")

    @property
    def run_name(self) -> str:
        """What is varied, in a few words: ``study reviews tfidf symmetric,one_sided 0,0.1,0.3,0.5``."""
        learners = ",".join(self.all("learners"))
        if self.grid == "pirate":
            return f"study {self.sets} {learners} epochs {self.lengths}"
        varied = self.kinds if self.grid == "noise" else self.losses
        return f"study {short(self.rows)} {learners} {varied} {self.rates}"

    @property
    def rows(self) -> str:
        """``dataset``; that of ``-e dpo`` for preferences where none was given."""
        is_given = self.grid != "preference" or self.dataset != StudyConfig.dataset
        return self.dataset if is_given else DpoConfig.dataset

    def all(self, name: str) -> list[Any]:
        """The values of a comma-separated setting, each once."""
        text = getattr(self, name)
        if name == "learners" and not text.strip():
            text = "tfidf" if self.grid == "noise" else "lora"
        return parse_list(name, text, LISTS[name])


def parse_list(name: str, text: str, read: Callable[[str], Any]) -> list[Any]:
    """The values in ``text``, each once and in its order.

    Raises:
        ConfigError: one can't be read, or there is none.
    """
    try:
        found = list(dict.fromkeys(read(part.strip()) for part in text.split(",") if part.strip()))
    except ValueError as error:
        raise ConfigError(f"{name} takes values with commas between them; {error}") from None
    require(bool(found) or name == "learners", f"{name} must name at least one")
    return found


def _one_of(known: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"each is one of {', '.join(known)}, not {text!r}")
        return text

    return read


def _loss(text: str) -> str:
    name, colon, smoothing = text.partition(":")
    _one_of(LOSSES)(name)
    if colon and (name != "dpo" or not 0 < _share(smoothing) < 0.5):
        raise ValueError(f"dpo alone has a label_smoothing, above 0 and under 0.5, as dpo:0.1, not {text!r}")
    return text


def _share(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"each is a share, from 0 to 1, not {text}")
    return value


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ValueError(f"each is a whole number of at least {least}, not {text!r}")
        return int(text)

    return read


#: The comma-separated settings and how one value of each is read.
LISTS: dict[str, Callable[[str], Any]] = {
    "kinds": _one_of(CORRUPTIONS),
    "rates": _share,
    "seeds": _whole(0),
    "learners": _one_of(LEARNERS),
    "losses": _loss,
    "sets": str,
    "lengths": _whole(1),
    "labels": _one_of(("response", "all")),
}

#: Settings of where and how cells run, which may change when a study is resumed.
EXECUTION = ("engine", "jobs", "ray_address", "retries", "resume")
#: Settings that a study passes on to all cells, with the same name and default.
SHARED = ("claims", "test_dataset", "base_model", "load", "lr", "max_length", "precision", "register_as")
#: Settings of a cell whose default depends on the grid: 0 is the cell's own default.
PER_GRID = ("batch_size", "max_new_tokens")
#: Settings that a noise study passes on to its cells.
NOISE = ("dataset", "n_train", "n_test", "side", "folds", "min_df", "c", "epochs")
