"""Settings of an export."""

from dataclasses import dataclass
from typing import Literal

from data.errors import ConfigError, require

#: In the outputs folder: the exports for which no other folder was named.
EXPORTS = "exports"
#: The file of an export, and the artifact of its run, that holds what was compared.
PROOF = "proof.json"


@dataclass(frozen=True)
class ExportConfig:
    """Write a registered version for other programs, which must then answer as the version does."""

    version: str = ""
    """Registered version, such as pirate/3 or pirate@champion."""
    to: Literal["merged", "adapter", "gguf", "ollama", "hub", "space", "bundle", "onnx"] = "merged"
    """Whole model, adapter (PEFT), GGUF file, GGUF and Modelfile (Ollama), hub repository, Space, or a zip to check."""
    outtype: Literal["f16", "bf16", "q8_0", "q4_k_m"] = "f16"
    """Type of the matrices in a GGUF file, by llama.cpp's name; q4_k_m needs its program llama-quantize on PATH."""
    repository: str = ""
    """With to=hub: the repository that is uploaded to, such as ann/pirate; the token is HF_TOKEN's."""
    license: str = ""
    """With to=hub and to=space: the base's licence by the hub's identifier; empty takes that of its card."""
    dry_run: bool = False
    """With to=hub: write the folder only."""
    fresh_environment: bool = False
    """With to=space: install its requirements.txt in an environment of its own, in which its app then answers."""
    output: str = ""
    """Folder to write, which must not be there; empty is exports/NAME-NUMBER-FORMAT in the outputs folder."""
    max_new_tokens: int = 32
    """Longest answer that is compared, in tokens."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""

    def __post_init__(self) -> None:
        require(self.max_new_tokens > 0, f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        require(self.threads >= 0, f"threads must be at least 0, not {self.threads}")
        for name, value, formats in (
            ("outtype", self.outtype != "f16", ("gguf", "ollama")),
            ("repository", self.repository, ("hub",)),
            ("dry_run", self.dry_run, ("hub",)),
            ("fresh_environment", self.fresh_environment, ("space",)),
            ("license", self.license, ("hub", "space")),
        ):
            wanted = " or ".join(f"to={each}" for each in formats)
            require(not value or self.to in formats, f"{name} goes with {wanted}, not with to={self.to}; leave it out")

    @property
    def run_name(self) -> str:
        """What is exported, and as what: ``export pirate/3 gguf``."""
        return f"export {self.version} {self.to}"

    def folder_name(self, name: str, number: int) -> str:
        """The name of the folder that is made where ``output`` names none."""
        return f"{name}-{number}-{self.to}" + (f"-{self.outtype}" if self.to == "gguf" else "")

    def require_version(self) -> None:
        """Check that a version is named; the default names none.

        Raises:
            ConfigError: it is empty.
        """
        if not self.version.strip():
            raise ConfigError("version names what is exported, such as version=pirate/3 or version=pirate@champion")
