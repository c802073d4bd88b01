"""Settings of the evaluation of a registered version."""

from dataclasses import dataclass

from data.errors import ConfigError, require

LM_EVAL, INSPECT = "lm_eval:", "inspect:"


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluate a registered version beside its base, item by item, on the tasks of an evaluation harness."""

    version: str = ""
    """Registered version, such as pirate/3 or pirate@champion."""
    suite: str = ""
    """lm_eval:TASK,TASK: tasks of lm-eval by name, or their YAML files."""
    limit: int = 0
    """Items of each task, the first so many; 0 takes all."""
    apply_chat_template: bool = False
    """Whether lm-eval writes its prompts with the model's chat template."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""
    seed: int = 7
    """Seed of resampled intervals and of the harness."""

    def __post_init__(self) -> None:
        for name in ("limit", "threads", "seed"):
            require(getattr(self, name) >= 0, f"{name} must be at least 0, not {getattr(self, name)}")
        require(
            not self.suite or self.suite.startswith(LM_EVAL),
            f"suite={self.suite}: write lm_eval:TASK, such as lm_eval:arc_easy or lm_eval:folder/task.yaml",
        )

    def require_work(self) -> None:
        """Check that a version and something to do are named; the defaults name neither.

        Raises:
            ConfigError: one of them is missing.
        """
        if not self.version.strip():
            raise ConfigError("version names what is evaluated, such as version=pirate/3 or version=pirate@champion")
        if not self.suite:
            raise ConfigError("suite says on what it is evaluated, such as suite=lm_eval:arc_easy")
