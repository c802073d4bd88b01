"""Settings of a comparison of two registered versions."""

from dataclasses import dataclass

from data.errors import require


@dataclass(frozen=True)
class CompareConfig:
    """Compares two registered versions on the same held-out rows: metrics with intervals, and row by row who won."""

    versions: str = ""
    """The two versions, separated by a comma, such as pirate/1,pirate/2 or pirate@champion,pirate/7."""
    dataset: str = ""
    """File with the rows to compare them on; empty takes the held-out rows of the first version's run."""
    max_new_tokens: int = 0
    """Longest answer in tokens; 0 takes the setting of the first version's run."""
    primary: str = "auto"
    """Metric that decides which version is better, and each row; auto takes the first version's own."""
    suites: str = "none"
    """Retention suites on which both are compared too: auto, none, or names and files as in suites of -e pirate."""
    seed: int = 7
    """Seed of resampled intervals."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""

    def __post_init__(self) -> None:
        for name in ("max_new_tokens", "seed", "threads"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")

    @property
    def run_name(self) -> str:
        """What is compared: ``compare pirate/1 pirate/2``."""
        return " ".join(["compare", *self.pair])

    @property
    def pair(self) -> list[str]:
        """The references of both versions.

        Raises:
            ConfigError: there are not two.
        """
        names = [name.strip() for name in self.versions.split(",")]
        require(
            len(names) == 2 and all(names),
            f"versions must be two, separated by a comma, such as pirate/1,pirate/2, not {self.versions!r}",
        )
        return names
