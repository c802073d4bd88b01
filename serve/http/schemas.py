"""Types of fields and parameters that several routes share, and the error of a value that does not fit its type."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic import AfterValidator, BaseModel, Discriminator, Field, StrictStr, Tag

from serve.errors import RequestError


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _kind(value: Any) -> str:
    return "(text)" if isinstance(value, str) else "(other)"


#: For a field that is a text or something else: only the errors of the kind that was given are reported.
BY_KIND, IF_TEXT, ELSE = Discriminator(_kind), Tag("(text)"), Tag("(other)")
TAGS = (IF_TEXT.tag, ELSE.tag)

Text = Annotated[StrictStr, AfterValidator(_without_nul)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=256), AfterValidator(_without_nul)]
Metadata = Annotated[
    dict[
        Annotated[StrictStr, Field(max_length=64), AfterValidator(_without_nul)],
        Annotated[StrictStr, Field(max_length=512), AfterValidator(_without_nul)],
    ],
    Field(max_length=16),
]
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
IdempotencyKey = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]


def validation_error(errors: Sequence[Mapping[str, Any]]) -> RequestError:
    """The first of pydantic's ``errors`` as an error of the request; ``param`` is the path of the field."""
    first = errors[0]
    path = [str(part) for part in first["loc"] if part not in TAGS]
    if path and path[0] in ("body", "query", "path", "header"):
        path = path[1:]
    param = ".".join(path)[:200] or None
    if first["type"] == "json_invalid":
        return RequestError("We could not parse the JSON body of your request.", code=None)
    reason = str(first["msg"]).removeprefix("Value error, ")
    message = f"Invalid value for '{param}': {reason}" if param else f"Invalid request: {reason}"
    return RequestError(message, param=param)


def require_known(request: BaseModel, without_effect: Sequence[str]) -> None:
    """Check the fields of ``request`` that its class does not have.

    Raises:
        RequestError: one is given that is not among those ``without_effect``; ``param`` names it.
    """
    for name, value in (request.model_extra or {}).items():
        if name not in without_effect and value is not None:
            shown = name[:100]
            raise RequestError(f"Unrecognized or unsupported request argument: {shown}", param=shown)
