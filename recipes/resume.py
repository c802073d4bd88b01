"""Whether an interrupted run goes on with what it began with."""

from collections.abc import Mapping

from data.errors import UserError
from registry.runs import Run

#: What the tags of a run with digests are digests of.
NAMES = {
    "dataset_digest": "training rows",
    "validation_digest": "validation rows",
    "test_digest": "test rows",
    "mask_digest": "mask of changed labels",
    "base_digest": "base model",
    "claims_digest": "claims",
}


def require_same(run: Run, digests: Mapping[str, str], names: Mapping[str, str] = NAMES) -> None:
    """Refuse to go on with other rows, another base or other claims than the run began with.

    Args:
        digests: those of now, by tag; tags that the run does not have yet are not compared.
        names: what they are digests of, by tag.

    Raises:
        UserError: naming what has changed.
    """
    known = run.known_tags()
    changed = [names[tag] for tag, value in digests.items() if known.get(tag, value) != value]
    if changed:
        raise UserError(
            f"resume={run.run_id}: the {', '.join(changed)} changed since the run began, so it can't go on as if "
            "nothing had happened; put them back, or start a new run"
        )
