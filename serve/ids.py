"""New ids of objects."""

import secrets
import string

_BASE62 = string.digits + string.ascii_letters


def fresh_id(prefix: str, length: int = 24) -> str:
    """A new id such as ``file-`` and 24 letters and digits."""
    return prefix + "".join(secrets.choice(_BASE62) for _ in range(length))
