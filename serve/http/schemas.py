"""Shapes that several routes take, and what is said where a value has none of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import AfterValidator, Discriminator, Field, StrictStr, Tag

from serve.errors import RequestError


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _kind(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(other)"


#: Of a field that is a text or something else, only what is wrong with the one that was given is told.
BY_KIND, IF_TEXT, ELSE = Discriminator(_kind), Tag("(text)"), Tag("(other)")
TAGS = (IF_TEXT.tag, ELSE.tag)

Text = Annotated[StrictStr, AfterValidator(_no_nul)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=256), AfterValidator(_no_nul)]
Metadata = Annotated[
    dict[
        Annotated[StrictStr, Field(max_length=64), AfterValidator(_no_nul)],
        Annotated[StrictStr, Field(max_length=512), AfterValidator(_no_nul)],
    ],
    Field(max_length=16),
]
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]


def fault_of_validation(errors: Sequence[Mapping[str, Any]]) -> RequestError:
    """The first of pydantic's errors, in OpenAI's words."""
    first = errors[0]
    place = [str(part) for part in first["loc"] if part not in TAGS]
    if place and place[0] in ("body", "query", "path", "header"):
        place = place[1:]
    param = ".".join(place)[:200] or None
    if first["type"] == "json_invalid":
        return RequestError("We could not parse the JSON body of your request.", code=None)
    said = str(first["msg"]).removeprefix("Value error, ")
    return RequestError(f"Invalid value for '{param}': {said}" if param else f"Invalid request: {said}", param=param)
