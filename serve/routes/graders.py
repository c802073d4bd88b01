"""``/v1/fine_tuning/alpha/graders``."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from serve import graders
from serve.http.schemas import Name, Text

Short = Annotated[Text, Field(max_length=graders.MOST_CHARACTERS)]

router = APIRouter(prefix="/v1/fine_tuning/alpha/graders", tags=["fine-tuning"])


class StringCheck(BaseModel):
    """Whether a text is, is not, or holds another one; ``ilike`` takes no notice of case."""

    type: Literal["string_check"]
    name: Name
    input: Short
    reference: Short
    operation: Literal["eq", "ne", "like", "ilike"]


class TextSimilarity(BaseModel):
    """How like another one a text is."""

    type: Literal["text_similarity"]
    name: Name
    input: Short
    reference: Short
    evaluation_metric: Literal["bleu"]


class GraderRequest(BaseModel):
    """A grader. Those that call a model or run Python are not among what this server does."""

    grader: Annotated[StringCheck | TextSimilarity, Field(discriminator="type")]


class SampleRequest(GraderRequest):
    """A grader, and what it is to grade."""

    model_sample: Short
    item: dict[str, Any] = {}


@router.post("/validate")
def validate(asked: GraderRequest) -> dict[str, Any]:
    """Whether a grader is one."""
    return {"grader": asked.grader.model_dump()}


@router.post("/run")
def run(asked: SampleRequest) -> dict[str, Any]:
    """Grade one sample."""
    return graders.run(asked.grader.model_dump(), asked.model_sample, asked.item)
