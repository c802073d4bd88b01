"""Settings of the server."""

from dataclasses import dataclass

from data.errors import ConfigError


@dataclass(frozen=True)
class ServeConfig:
    """A server that speaks OpenAI's language: files, fine-tuning jobs, models, chats, batches."""

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 lets other computers in."""
    port: int = 8000
    """Port to listen at; 0 lets the system choose one."""
    database: str = "sqlite:///serve.db"
    """Where jobs, files, batches and keys are kept: SQLite, or PostgreSQL by its URL."""
    new_key: str = ""
    """Make one more key of this name, print it, and end; a server that runs takes it within a second."""
    drop_key: str = ""
    """Take the key of this name back, and end; a server that runs refuses it within a second."""
    organization: str = "parley"
    """What stands for the organisation in the names of fine-tuned models."""
    base_model: str = "bundled"
    """What OpenAI's model names stand for: bundled, auto, a model on the Hugging Face hub, or a local folder."""
    models: str = ""
    """More names and their bases, comma-separated, such as gpt-4o-mini=distilgpt2,small=bundled."""
    trainers: int = 1
    """Jobs that are trained at once."""
    trainer_threads: int = 1
    """CPU threads of each trainer."""
    queue: int = 100
    """Jobs that wait or run at once; one more is refused."""
    checkpoints: int = 3
    """Epochs, counted from the last, whose weights become models of their own."""
    chats: int = 32
    """Answers that are written at once; more of them wait."""
    chat_queue: int = 256
    """Answers that wait at once; one more is refused."""
    chat_threads: int = 1
    """CPU threads of the chats; 0 takes all cores."""
    memory_gb: float = 4.0
    """Room for loaded weights; what was used longest ago makes room for more."""
    batch_rows: int = 8
    """Lines of batches that are answered at once while nobody chats; while somebody does, it is one."""
    requests_per_minute: int = 10000
    """Requests of one key in a minute."""
    tokens_per_minute: int = 2000000
    """Tokens of one key in a minute, prompts and answers together."""
    file_mb: int = 512
    """Size of one uploaded file."""
    body_mb: int = 8
    """Size of any other request."""

    def __post_init__(self) -> None:
        if not (self.port == 0 or 1024 <= self.port <= 65535):
            raise ConfigError(f"port must be 0 or from 1024 to 65535, not {self.port}")
        for name in ("trainers", "trainer_threads", "queue", "checkpoints", "chats", "chat_queue", "batch_rows",
                     "requests_per_minute", "tokens_per_minute", "file_mb", "body_mb"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.chat_threads < 0:
            raise ConfigError(f"chat_threads must be at least 0, not {self.chat_threads}")
        if not self.memory_gb > 0:
            raise ConfigError(f"memory_gb must be above 0, not {self.memory_gb}")
        for name in ("host", "database", "organization", "base_model"):
            if not getattr(self, name).strip():
                raise ConfigError(f"{name} must not be empty")
        if not self.database.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise ConfigError("database must be sqlite:///FILE or postgresql://USER@HOST/NAME")
        self.table()

    def table(self) -> dict[str, str]:
        """The bases that ``models`` names, by name."""
        found = {}
        for pair in filter(None, (each.strip() for each in self.models.split(","))):
            name, equals, base = (part.strip() for part in pair.partition("="))
            if not (name and equals and base):
                raise ConfigError(f"models must be NAME=BASE with commas between, not {pair!r}")
            found[name] = base
        return found
