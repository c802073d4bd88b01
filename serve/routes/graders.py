"""``/v1/fine_tuning/alpha/graders``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from serve import graders
from serve.http.schemas import Name, Text

Short = Annotated[Text, Field(max_length=graders.MAX_CHARACTERS)]

router = APIRouter(prefix="/v1/fine_tuning/alpha/graders", tags=["fine-tuning"])


class StringCheck(BaseModel):
    """Compares two texts: equal, not equal, contained (``like``), or contained whatever the case (``ilike``)."""

    type: Literal["string_check"]
    name: Name
    input: Short
    reference: Short
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(BaseModel):
    """BLEU of a text against a reference."""

    type: Literal["text_similarity"]
    name: Name
    input: Short
    reference: Short
    evaluation_metric: Literal["bleu"]


class GraderRequest(BaseModel):
    """A grader. Those that call a model or run Python are not supported."""

    grader: Annotated[StringCheck | TextSimilarity, Field(discriminator="type")]


class SampleRequest(GraderRequest):
    """A grader, and the sample to grade."""

    model_sample: Short
    item: dict[str, Any] = {}


@router.post("/validate")
def validate(body: GraderRequest) -> dict[str, Any]:
    """Check a grader's fields."""
    return {"grader": body.grader.model_dump()}


@router.post("/run")
def run(body: SampleRequest) -> dict[str, Any]:
    """Grade one sample."""
    return graders.run(body.grader.model_dump(), body.model_sample, body.item)
