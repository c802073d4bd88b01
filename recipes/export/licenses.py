"""Licences of bases, by the identifiers of the Hugging Face hub."""

import re
from pathlib import Path

from data.errors import UserError
from train.smollm2 import HUB_ID

FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
KNOWN = {"smollm2": "apache-2.0", HUB_ID: "apache-2.0"}


def license_of(base: str, folder: Path | None, given: str) -> str:
    """The licence ``given``, or that of the base: by its name, or as its card in ``folder`` says.

    Raises:
        UserError: it is not known.
    """
    card = folder / "README.md" if folder else None
    found = FRONT_MATTER.match(card.read_text(encoding="utf-8")) if card and card.is_file() else None
    stated = re.search(r"^license:\s*(\S+)", found[1], re.MULTILINE) if found else None
    known = given or KNOWN.get(base, "") or (stated[1] if stated else "")
    if not known:
        raise UserError(f"license names the licence of the base {base or '(unknown)'}, such as license=apache-2.0")
    return known
