"""What the page's event listeners have in common."""

from typing import Any

#: They are no part of the page's API for programs, and show no progress of their own.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
