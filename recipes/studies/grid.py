"""The cells of a study: which trainings there are, and by what each is known. Pure."""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from recipes.noisy_labels.config import NoisyConfig
from recipes.sft.config import TuneConfig
from recipes.studies.config import NOISY, OWN, SHARED, StudyConfig
from train.config import FitConfig

CLEAN = "clean"
#: Settings that change where a cell runs or what its model is called, and nothing that it finds.
NO_MATTER = ("resume", "threads", "register_as")


@dataclass(frozen=True)
class Cell:
    """One training. ``place`` is where it stands in the grid: names and values that differ between cells."""

    entry: str
    config: FitConfig
    place: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        """The place in a few words."""
        return " ".join(f"{key}={value}" for key, value in self.place if value != "")

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over the settings that matter: cells with one digest are one cell."""
        settings = {key: value for key, value in asdict(self.config).items() if key not in NO_MATTER}
        return sha256(json.dumps([self.entry, settings], sort_keys=True).encode()).hexdigest()[:16]


def cells(config: StudyConfig) -> list[Cell]:
    """Every cell of the grid, in the order they are begun in; a clean control a learner and seed comes first.

    Raises:
        ConfigError: settings that don't go together.
    """
    return _noise(config) if config.grid == "noise" else _pirate(config)


def _noise(config: StudyConfig) -> list[Cell]:
    found = []
    kinds, rates = config.all("kinds"), sorted(config.all("rates"))
    plain = "best_swapped" if "best_swapped" in kinds else "symmetric"  # at rate 0 the kind changes nothing
    noises = [(CLEAN, plain, 0.0), *((kind, kind, rate) for kind in kinds for rate in rates if rate)]
    for learner in config.all("learners"):
        for shown, kind, rate in noises:
            for seed in config.all("seeds"):
                settings = _shared(config, learner) | {name: getattr(config, name) for name in NOISY}
                settings |= {"learner": learner, "kind": kind, "rate": rate, "seed": seed, "noise_seed": seed}
                settings |= {"word": config.word if kind == "trigger" else ""}
                place = (("learner", learner), ("kind", shown), ("rate", rate), ("seed", seed))
                found.append(Cell("noisy", NoisyConfig(**settings), place))
    return found


def _pirate(config: StudyConfig) -> list[Cell]:
    found = []
    for learner in config.all("learners"):
        for name in config.all("sets"):
            for epochs in config.all("lengths"):
                for labels in config.all("labels"):
                    for seed in config.all("seeds"):
                        settings = {"dataset": name, "epochs": epochs, "labels": labels, "seed": seed}
                        settings |= _shared(config, learner) | {"method": learner}
                        place = (("learner", learner), ("set", name), ("epochs", epochs), ("labels", labels))
                        found.append(Cell("pirate", TuneConfig(**settings), (*place, ("seed", seed))))
    return found


def _shared(config: StudyConfig, learner: str) -> dict[str, Any]:
    settings = {name: getattr(config, name) for name in SHARED}
    settings |= {name: getattr(config, name) for name in OWN if getattr(config, name)}
    if learner == "lora":
        settings["rank"] = config.rank
    return settings
