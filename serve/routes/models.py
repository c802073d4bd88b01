"""``/v1/models``."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from serve.state import State

ModelId = Annotated[str, Path(min_length=1, max_length=400)]

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def listing(state: State) -> dict[str, Any]:
    """Base models, their aliases, and every registered version."""
    return state.catalog.listing()


@router.get("/{model:path}")
def retrieve(state: State, model: ModelId) -> dict[str, Any]:
    """A model's object, by its id or by the reference of a version."""
    return state.catalog.get(model)


@router.delete("/{model:path}")
def delete(state: State, model: ModelId) -> dict[str, Any]:
    """Delete a version from the registry."""
    return state.catalog.delete(model)
