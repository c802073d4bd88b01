"""The registered versions as the page shows them: fetched when needed, kept until the next refresh."""

import socket
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data.errors import UserError
from demo.lazy import import_lock
from demo.session import folder_name
from evals.metrics import short_labels

if TYPE_CHECKING:
    from registry.version_details import CatalogEntry, VersionDetails

MOST_DETAILS = 100
UI_WAIT_S = 0.3
PORTS = {"http": 80, "https": 443}


class VersionCache:
    """All registered versions and their details. ``ui_address``: where the MLflow UI answers, for links."""

    def __init__(self, ui_address: str = "") -> None:
        self.ui_address = ui_address
        self.entries: list[CatalogEntry] = []
        self._details: dict[str, VersionDetails] = {}
        self._lock = threading.Lock()

    def refresh(self) -> "list[CatalogEntry]":
        """Every registered version, fetched anew.

        Raises:
            TrackingUnavailable: the registry does not answer; what was fetched last stays.
        """
        with import_lock:
            from registry.version_details import catalogue
        found = catalogue(labels=short_labels())
        with self._lock:
            self.entries = found
            self._details.clear()
        return found

    def details(self, reference: str) -> "tuple[VersionDetails, int | None]":
        """Details of the version in ``reference``, and the step of the checkpoint that it names, if it names one.

        Raises:
            UserError: there is no such version.
        """
        name, _, part = (
            reference.partition(":x")[0].partition(":") if not reference.startswith("models:") else (reference, "", "")
        )
        with self._lock:
            known = self._details.get(name)
        if known is None:
            known, part = self._load(reference)
            with self._lock:
                if len(self._details) >= MOST_DETAILS:
                    self._details.clear()
                self._details[name] = known
        return known, int(part) if part.isdigit() else None

    def _load(self, reference: str) -> "tuple[VersionDetails, str]":
        with import_lock:
            from registry.references import scaled, split
            from registry.version_details import details_of
        version, part = split(scaled(reference)[0])
        return details_of(version, self.answering_ui(), short_labels()), part

    def answering_ui(self) -> str:
        """``ui_address`` where something answers there, else empty: a dead link would mislead."""
        parts = urlsplit(self.ui_address)
        try:
            with socket.create_connection((parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)), UI_WAIT_S):
                return self.ui_address
        except (OSError, ValueError):
            return ""

    def at_step(self, reference: str, step: float) -> str:
        """The reference of the kept checkpoint nearest to ``step``; the version itself where it has those weights."""
        details, _ = self.details(reference)
        name = details.version.reference
        if not details.checkpoints:
            return name
        nearest = min(details.checkpoints, key=lambda kept: abs(kept - step))
        return name if nearest == details.restored_step else f"{name}:{nearest}"

    def pinned(self, reference: str) -> str:
        """``reference`` with an alias replaced by the version that it points to now."""
        if "@" not in reference:
            return reference
        with import_lock:
            from registry.versions import resolve
        head, _, part = reference.partition(":")
        try:
            version = resolve(head)
        except UserError:
            return reference
        return version.reference + (f":{part}" if part else "")

    def described(self, name: str = "") -> list[dict[str, Any]]:
        """Every version of every registered model, or of ``name``, as values that JSON can hold."""
        return [_described(entry) for entry in self.refresh() if name in ("", entry.version.name)]


def _described(entry: "CatalogEntry") -> dict[str, Any]:
    version = entry.version
    reference = version.reference
    return {
        "reference": reference,
        "name": version.name,
        "version": version.number,
        "aliases": list(version.aliases),
        "kind": entry.kind,
        "verdict": entry.verdict,
        "headline": entry.headline,
        "base": f"{reference}:base",
        "base_model": folder_name(version.tags.get("base_model", "")),
        "created": entry.created.isoformat(),
    }
