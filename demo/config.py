"""Settings of the chat page."""

from dataclasses import dataclass
from typing import Literal

from data.errors import ConfigError
from demo.limits import RequestLimits


@dataclass(frozen=True)
class DemoConfig(RequestLimits):
    """The chat page: base and tuned versions side by side. On this computer only, unless share=true."""

    share: bool = False
    """Ask Gradio for a public link, which lives about a week; the page then needs a password."""
    password: Literal["auto", "off"] = "auto"
    """auto protects a shared link with the password in PARLEY_PASSWORD, or with a new one that is printed."""
    port: int = 7860
    """Port of the page; the next free one is taken where it is in use."""
    register_as: str = ""
    """Registered model that is shown first; empty takes the one with the newest version."""
    ui_address: str = "http://127.0.0.1:5000"
    """Where the MLflow UI answers, for links to runs; a tracking server's own address comes first."""
    memory_gb: float = 4.0
    """Room for loaded weights; what was used longest ago makes room for more."""
    threads: int = 0
    """CPU threads; 0 takes all cores."""
    conversations: Literal["auto", "on", "off"] = "auto"
    """Keep conversations in outputs/conversations.sqlite and list them; auto: not on a shared link."""
    remote_tokens: int = 0
    """On a shared link: tokens that remote models may answer with, all visitors together; 0 turns them off there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1024 <= self.port <= 65535:
            raise ConfigError(f"port must be from 1024 to 65535, not {self.port}")
        if not self.memory_gb > 0:
            raise ConfigError(f"memory_gb must be above 0, not {self.memory_gb}")
        for name in ("threads", "remote_tokens"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be at least 0, not {getattr(self, name)}")
