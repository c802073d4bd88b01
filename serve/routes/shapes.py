"""Shapes that several routes take."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator, Field, StrictStr


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


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
After = Annotated[str | None, Query(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]
