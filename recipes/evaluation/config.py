"""Settings of the evaluation of a registered version."""

from dataclasses import dataclass

from data.errors import ConfigError, require
from inference.locations import HIGHEST_SCALE, LOWEST_SCALE
from recipes.run_names import short

LM_EVAL, INSPECT = "lm_eval:", "inspect:"
#: The scales of ``scales=auto``.
SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
#: The artifact of a run that holds what was measured at them.
SCALES_RECORD = "scales.json"


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
    """Prompts that the judge and scales take; empty takes the test rows of the version's run."""
    scales: str = ""
    """Scales of the adapter, -1 to 3, at which held-out answers and suite are measured; auto is 0,0.25,...,1.5."""
    max_new_tokens: int = 64
    """Longest answer to these prompts, in tokens."""
    limit: int = 0
    """Items of each task, and prompts of the judge and of scales, the first so many; 0 takes all."""
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
        is_whole = is_own and not self.scales
        require(
            not (is_whole and self.limit), f"limit is for lm_eval and inspect; suite={self.suite} is short as it is"
        )
        require(not self.scales or is_own or not self.suite, f"scales takes Parley's own suites, not {self.suite}")
        require(not (self.scales and self.judge), "scales and judge are two evaluations: name one of them")
        self.scale_values()

    @property
    def run_name(self) -> str:
        """What is evaluated, and on what: ``evaluate pirate/3 suite=facts``."""
        names = [name for name in ("suite", "judge", "scales") if getattr(self, name)]
        given = [f"{name}={short(getattr(self, name))}" for name in names]
        return " ".join(["evaluate", self.version, *given])

    def require_work(self) -> None:
        """Check that a version and something to do are named; the defaults name neither.

        Raises:
            ConfigError: one of them is missing.
        """
        if not self.version.strip():
            raise ConfigError("version names what is evaluated, such as version=pirate/3 or version=pirate@champion")
        if not self.suite and not self.judge and not self.scales:
            raise ConfigError("name a suite, such as suite=facts or suite=lm_eval:arc_easy, a judge, or scales=auto")

    def scale_values(self) -> tuple[float, ...]:
        """The scales, ascending, with that of the base among them; none where ``scales`` is empty.

        Raises:
            ConfigError: one is no number, or none that an adapter may have.
        """
        if not self.scales:
            return ()
        try:
            found = SCALES if self.scales == "auto" else [float(each) for each in self.scales.split(",")]
        except ValueError as error:
            raise ConfigError(f"scales={self.scales}: write auto, or numbers separated by commas") from error
        for each in found:
            fits = LOWEST_SCALE <= each <= HIGHEST_SCALE
            require(fits, f"scales: {each:g} is not from {LOWEST_SCALE:g} to {HIGHEST_SCALE:g}")
        return tuple(sorted({0.0, *found}))
