"""``/v1/models``."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from serve.state import Here

ModelId = Annotated[str, Path(min_length=1, max_length=400)]

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def listing(here: Here) -> dict[str, Any]:
    """Bases, the names that stand for one, and every registered version."""
    return here.shelf.listing()


@router.get("/{model:path}")
def retrieve(here: Here, model: ModelId) -> dict[str, Any]:
    """A model's object, by its id or by a version's reference."""
    return here.shelf.get(model)


@router.delete("/{model:path}")
def delete(here: Here, model: ModelId) -> dict[str, Any]:
    """Take a version out of the registry."""
    return here.shelf.delete(model)
