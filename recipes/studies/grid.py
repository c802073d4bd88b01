"""The cells of a study: the settings of each training and the digest that identifies it. Pure."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from recipes.dpo.config import DpoConfig
from recipes.noisy_labels.config import NoisyConfig
from recipes.sft.config import TuneConfig
from recipes.studies.config import NOISE, PER_GRID, SHARED, StudyConfig
from train.config import FitConfig

CLEAN = "clean"
#: Settings that do not change a cell's result, and so are not part of its digest.
NOT_IN_DIGEST = ("resume", "threads", "register_as", "least_gain")
#: Settings that older studies did not have, and the values under which they change nothing: left out of the digest too,
#: so that an interrupted study of older code is finished without training a cell twice.
ADDED = {
    "load": "auto",
    "distributed": "auto",
    "shots": "",
    "suites": "none",
    "claims": "",
    "primary": "auto",
    "seeds": "",
}


@dataclass(frozen=True)
class Cell:
    """One training. ``coordinates`` are the names and values that differ between the cells of the grid."""

    entry: str
    config: FitConfig
    coordinates: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        """The coordinates in one line."""
        return " ".join(f"{key}={value}" for key, value in self.coordinates if value != "")

    @property
    def digest(self) -> str:
        """Its identity: the first 16 hex digits of the SHA-256 of all settings that change its result."""
        settings = {
            key: value
            for key, value in asdict(self.config).items()
            if key not in NOT_IN_DIGEST and ADDED.get(key, ...) != value
        }
        return sha256(json.dumps([self.entry, settings], sort_keys=True).encode()).hexdigest()[:16]


def cells(config: StudyConfig) -> list[Cell]:
    """Every cell of the grid in the order in which they start; the clean controls of each learner come first.

    Raises:
        ConfigError: settings that contradict each other.
    """
    return {"noise": _noise, "pirate": _pirate, "preference": _preference}[config.grid](config)


def _noise(config: StudyConfig) -> list[Cell]:
    found = []
    kinds, rates = config.all("kinds"), sorted(config.all("rates"))
    clean_kind = "best_swapped" if "best_swapped" in kinds else "symmetric"  # at rate 0 the kind changes nothing
    noises = [(CLEAN, clean_kind, 0.0), *((kind, kind, rate) for kind in kinds for rate in rates if rate)]
    for learner in config.all("learners"):
        for shown, kind, rate in noises:
            for seed in config.all("seeds"):
                settings = _shared(config, learner) | {name: getattr(config, name) for name in NOISE}
                settings |= {"learner": learner, "kind": kind, "rate": rate, "seed": seed, "noise_seed": seed}
                settings |= {"word": config.word if kind == "trigger" else ""}
                coordinates = (("learner", learner), ("kind", shown), ("rate", rate), ("seed", seed))
                found.append(Cell("noisy", NoisyConfig(**settings), coordinates))
    return found


def _pirate(config: StudyConfig) -> list[Cell]:
    found = []
    for learner in config.all("learners"):
        for name in config.all("sets"):
            for epochs in config.all("lengths"):
                for labels in config.all("labels"):
                    for seed in config.all("seeds"):
                        settings = {"dataset": name, "epochs": epochs, "labels": labels, "seed": seed}
                        settings |= _shared(config, learner) | {"method": learner, "suites": "none"}
                        coordinates = (("learner", learner), ("set", name), ("epochs", epochs), ("labels", labels))
                        found.append(Cell("pirate", TuneConfig(**settings), (*coordinates, ("seed", seed))))
    return found


def _preference(config: StudyConfig) -> list[Cell]:
    """Validation pairs are never turned round, so the last weights are measured, and not those that do best there.

    The losses are compared as they are, without cross-entropy beside them.
    """
    found = []
    for learner in config.all("learners"):
        for rate in sorted({0.0, *config.all("rates")}):
            for name in config.all("losses"):
                loss, _, smoothing = name.partition(":")
                for seed in config.all("seeds"):
                    settings = _shared(config, learner) | {"method": learner, "suites": "none", "restore": "last"}
                    settings |= {"dataset": config.rows, "start": config.start, "epochs": config.epochs}
                    settings |= {"loss": loss, "label_smoothing": float(smoothing or 0), "sft_weight": 0.0}
                    settings |= {"rate": rate, "seed": seed, "noise_seed": seed}
                    coordinates = (("learner", learner), ("loss", name), ("rate", rate), ("seed", seed))
                    found.append(Cell("dpo", DpoConfig(**settings), coordinates))
    return found


def _shared(config: StudyConfig, learner: str) -> dict[str, Any]:
    settings = {name: getattr(config, name) for name in SHARED}
    settings |= {name: getattr(config, name) for name in PER_GRID if getattr(config, name)}
    if learner == "lora":
        settings["rank"] = config.rank
    return settings
