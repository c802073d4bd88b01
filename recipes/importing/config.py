"""Settings of an import."""

from dataclasses import dataclass

from data.errors import ConfigError, require
from recipes.run_names import short


@dataclass(frozen=True)
class ImportConfig:
    """Register a model that was made elsewhere as a version: a PEFT adapter, a whole model, or a GGUF file."""

    path: str = ""
    """Folder in PEFT's or Transformers' layout with safetensors weights, or a GGUF file."""
    register_as: str = "imported"
    """Name of the registered model that gets the version."""
    base_model: str = ""
    """Base that it was made from; empty takes the one that an adapter names, and none for other models."""
    test_dataset: str = ""
    """Rows on which base and version are evaluated, as the parameter of -e pirate; empty evaluates nothing."""
    max_new_tokens: int = 64
    """Longest answer in tokens, where the caller gives none."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""

    def __post_init__(self) -> None:
        require(self.max_new_tokens > 0, f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        require(self.threads >= 0, f"threads must be at least 0, not {self.threads}")
        require(bool(self.register_as.strip()), "register_as names the registered model, such as register_as=theirs")

    @property
    def run_name(self) -> str:
        """What is imported: ``import their-adapter``."""
        return f"import {short(self.path)}"

    def require_path(self) -> None:
        """Check that a model is named; the default names none.

        Raises:
            ConfigError: it is empty.
        """
        if not self.path.strip():
            raise ConfigError("path names the folder or GGUF file that is imported, such as path=their-adapter")
