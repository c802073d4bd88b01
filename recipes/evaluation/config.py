"""Settings of the evaluation of a registered version."""

from dataclasses import dataclass

from data.errors import ConfigError, require
from recipes.run_names import short

LM_EVAL, INSPECT = "lm_eval:", "inspect:"


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a registered version beside its base, item by item, on suites, on tasks of a harness, or by a judge."""

    version: str = ""
    """Registered version, such as pirate/3 or pirate@champion."""
    suite: str = ""
    """lm_eval:TASK,TASK (names, or YAML files); inspect:FILE.py@TASK; or names of Parley's own suites."""
    judge: str = ""
    """Model that compares both sides' answers: a registered version, or openai:MODEL at OPENAI_BASE_URL."""
    test_dataset: str = ""
    """Prompts whose answers the judge compares; empty takes the test rows of the version's run."""
    max_new_tokens: int = 64
    """Longest answer that the judge compares, in tokens."""
    limit: int = 0
    """Items of each task, and prompts of the judge, the first so many; 0 takes all."""
    apply_chat_template: bool = False
    """Whether lm-eval writes its prompts with the model's chat template."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""
    seed: int = 7
    """Seed of resampled intervals, and of the harness or suite."""

    def __post_init__(self) -> None:
        require(self.max_new_tokens > 0, f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        for name in ("limit", "threads", "seed"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        is_own = bool(self.suite) and not self.suite.startswith((LM_EVAL, INSPECT))
        require(not (is_own and self.limit), f"limit is for lm_eval and inspect; suite={self.suite} is short as it is")

    @property
    def run_name(self) -> str:
        """What is evaluated, and on what: ``evaluate pirate/3 suite=facts``."""
        given = [f"{name}={short(getattr(self, name))}" for name in ("suite", "judge") if getattr(self, name)]
        return " ".join(["evaluate", self.version, *given])

    def require_work(self) -> None:
        """Check that a version and something to do are named; the defaults name neither.

        Raises:
            ConfigError: one of them is missing.
        """
        if not self.version.strip():
            raise ConfigError("version names what is evaluated, such as version=pirate/3 or version=pirate@champion")
        if not self.suite and not self.judge:
            raise ConfigError("name a suite, such as suite=facts or suite=lm_eval:arc_easy, or a judge")
