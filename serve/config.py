"""Settings of the server."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from data.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: What a budget limits, each for a day of UTC.
KINDS = ("requests", "tokens", "training_tokens")
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9A-Fa-f:]+\](:\d{1,5})?")


@dataclass(frozen=True)
class ServeConfig:
    """Settings of the OpenAI-compatible server."""

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 accepts connections from other computers."""
    port: int = 8000
    """Port to listen at; 0 lets the system choose one."""
    database: str = "sqlite:///serve.db"
    """URL of the database of jobs, files, batches and keys: SQLite or PostgreSQL."""
    new_key: str = ""
    """Create an API key of this name, print it, and end; a running server accepts it within a second."""
    drop_key: str = ""
    """Delete the API key of this name, and end; a running server refuses it within a second."""
    project: str = ""
    """Project of new_key, and the one that budget and readable are of; empty is the one that is there by default."""
    budget: str = ""
    """Set what a project may use a day, and end: requests=N,tokens=N,training_tokens=N; none removes all limits."""
    readable: str = ""
    """Set which registered models a project may use, and end: their names with commas between; * is all."""
    organization: str = "parley"
    """The organisation in the ids of fine-tuned models."""
    base_model: str = "auto"
    """Base of OpenAI's names: auto (smollm2, else bundled), bundled, smollm2, a model on the hub, a folder or GGUF."""
    load: Literal["auto", "bf16", "fp32", "4bit"] = "auto"
    """How bases are held that are trained on or answer; auto is bf16 where they are stored so and that is faster."""
    models: str = ""
    """Further model names and their bases, comma-separated, such as gpt-4o-mini=distilgpt2,small=bundled."""
    trainers: int = 1
    """Jobs that are trained at once."""
    trainer_threads: int = 1
    """CPU threads of each training process."""
    queue: int = 100
    """Jobs that wait or run at once; one more is refused."""
    checkpoints: int = 3
    """Epochs, counted from the last, whose weights are registered as models."""
    chats: int = 32
    """Answers that are generated at once; more of them wait."""
    chat_queue: int = 256
    """Answers that wait at once; one more is refused."""
    chat_threads: int = 0
    """CPU threads of the chat engine; 0 takes all cores."""
    memory_gb: float = 4.0
    """Memory for loaded weights; the least recently used models are unloaded."""
    batch_rows: int = 8
    """Requests of a batch that are answered at once; one while there are other chat completions."""
    requests_per_minute: int = 10000
    """Rate limit of each key: requests per minute."""
    tokens_per_minute: int = 2000000
    """Rate limit of each key: tokens per minute, of prompts and answers together."""
    file_mb: int = 512
    """Largest uploaded file, in MB."""
    body_mb: int = 8
    """Largest body of any other request, in MB."""
    tinker_models: int = 4
    """Adapters that Tinker's SDK trains at once; one more is refused. 0 refuses all."""
    cors: str = ""
    """Origins whose web pages may send requests, comma-separated, such as https://lab.example; * is every origin."""

    def __post_init__(self) -> None:
        if not (self.port == 0 or 1024 <= self.port <= 65535):
            raise ConfigError(f"port must be 0 or from 1024 to 65535, not {self.port}")
        for name in ("trainers", "trainer_threads", "queue", "checkpoints", "chats", "chat_queue", "batch_rows",
                     "requests_per_minute", "tokens_per_minute", "file_mb", "body_mb"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("chat_threads", "tinker_models"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not self.memory_gb > 0:
            raise ConfigError(f"memory_gb must be above 0, not {self.memory_gb}")
        for name in ("host", "database", "organization", "base_model"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} must not be empty")
        if not self.database.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ConfigError("database must be sqlite:///FILE or postgresql://USER@HOST/NAME")
        if self.project and not NAME.fullmatch(self.project):
            raise ConfigError("project must be up to 64 letters, digits, dots, hyphens and underscores")
        self.table()
        self.origins()
        self.access()

    def access(self) -> dict[str, Any]:
        """What ``budget`` and ``readable`` set of the project, by these names.

        Raises:
            ConfigError: no project is named, or a limit is malformed.
        """
        found: dict[str, Any] = {}
        if (self.budget or self.readable) and not self.project:
            raise ConfigError("budget and readable are set for one project: name it, project=lab1")
        if self.readable:
            found["readable"] = [each for each in (part.strip() for part in self.readable.split(",")) if each]
        if self.budget:
            pairs = [] if self.budget == "none" else [part.strip().partition("=") for part in self.budget.split(",")]
            wrong = ["".join(each) for each in pairs if each[0] not in KINDS or not each[2].isdecimal()]
            if wrong:
                kinds = ", ".join(KINDS)
                raise ConfigError(f"budget is KIND=N with commas between, KIND one of {kinds}, not {wrong[0]!r}")
            found["budget"] = {kind: int(limit) for kind, _, limit in pairs}
        return found

    def origins(self) -> list[str]:
        """The origins that ``cors`` lists.

        Raises:
            ConfigError: an entry is no origin.
        """
        found = [each for each in (part.strip() for part in self.cors.split(",")) if each]
        wrong = [each for each in found if each != "*" and not ORIGIN.fullmatch(each)]
        if wrong:
            raise ConfigError(f"cors lists origins such as https://lab.example:8080, without a path, not {wrong[0]!r}")
        return found

    def table(self) -> dict[str, str]:
        """The bases that ``models`` lists, by name.

        Raises:
            ConfigError: an entry is not NAME=BASE.
        """
        bases = {}
        for pair in filter(None, (each.strip() for each in self.models.split(","))):
            name, equals, base = (part.strip() for part in pair.partition("="))
            if not (name and equals and base):
                raise ConfigError(f"models must be NAME=BASE with commas between, not {pair!r}")
            bases[name] = base
        return bases
