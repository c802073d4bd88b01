"""Ids of objects."""

import secrets
import string

_BASE62 = string.digits + string.ascii_letters


def fresh_id(prefix: str, length: int = 24) -> str:
    """A random id: ``prefix`` and ``length`` letters and digits."""
    return prefix + "".join(secrets.choice(_BASE62) for _ in range(length))
