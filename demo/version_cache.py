"""What the registry has, as the page browses it: fetched when asked for, remembered until the next refresh."""

import threading
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from demo.lazy import late
from demo.session import folder_name

if TYPE_CHECKING:
    from registry.version_details import CatalogEntry, VersionDetails

MOST_STORIES = 100


class VersionCache:
    """All registered versions and their stories. ``ui_address``: where the MLflow UI answers, for links."""

    def __init__(self, ui_address: str = ""):
        self.ui_address = ui_address
        self.entries: list[CatalogEntry] = []
        self._stories: dict[str, VersionDetails] = {}
        self._lock = threading.Lock()

    def look(self) -> "list[CatalogEntry]":
        """Every registered version, asked for anew.

        Raises:
            TrackingAway: the registry does not answer; what was seen last stays.
        """
        found = late("registry.version_details").catalogue()
        with self._lock:
            self.entries = found
            self._stories.clear()
        return found

    def story(self, reference: str) -> "tuple[VersionDetails, int | None]":
        """What the version in ``reference`` says of itself, and the step of the checkpoint that was meant, if one was.

        Raises:
            UserError: there is no such version.
        """
        name, _, part = reference.partition(":") if not reference.startswith("models:") else (reference, "", "")
        with self._lock:
            known = self._stories.get(name)
        if known is None:
            version, part = late("registry.references").split(reference)
            known = late("registry.version_details").tell(version, self.ui_address)
            with self._lock:
                if len(self._stories) >= MOST_STORIES:
                    self._stories.clear()
                self._stories[name] = known
        return known, int(part) if part.isdigit() else None

    def at_step(self, reference: str, step: float) -> str:
        """The reference of the kept checkpoint nearest to ``step``; the version itself where it has those weights."""
        story, _ = self.story(reference)
        name = f"{story.version.name}/{story.version.number}"
        if not story.checkpoints:
            return name
        nearest = min(story.checkpoints, key=lambda kept: abs(kept - step))
        return name if nearest == story.restored_step else f"{name}:{nearest}"

    def pinned(self, reference: str) -> str:
        """``reference`` with an alias replaced by the version that it points to now."""
        if "@" not in reference:
            return reference
        head, _, part = reference.partition(":")
        try:
            version = late("registry.versions").resolve(head)
        except UserError:
            return reference
        return f"{version.name}/{version.number}" + (f":{part}" if part else "")

    def described(self, name: str = "") -> list[dict[str, Any]]:
        """Every version as plain values, for programs."""
        return [
            {
                "reference": f"{entry.version.name}/{entry.version.number}",
                "name": entry.version.name,
                "version": entry.version.number,
                "aliases": list(entry.version.aliases),
                "kind": entry.kind,
                "verdict": entry.verdict,
                "headline": entry.headline,
                "base": f"{entry.version.name}/{entry.version.number}:base",
                "base_model": folder_name(entry.version.tags.get("base_model", "")),
                "created": entry.created.isoformat(),
            }
            for entry in self.look()
            if name in ("", entry.version.name)
        ]
