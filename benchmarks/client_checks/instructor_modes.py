"""``instructor`` in its modes against the server; run by ``benchmarks.clients`` in an environment of its own."""

from typing import Any, Literal

import instructor
import openai
from instructor import Mode
from pydantic import BaseModel

from benchmarks.client_checks.checks import LARGER, capability, run_all

MESSAGES: Any = [{"role": "user", "content": "I loved every minute of this film. Is that positive or negative?"}]
SETTINGS: Any = {"model": LARGER, "max_retries": 1, "temperature": 0, "max_tokens": 200, "messages": MESSAGES}
#: Where the schema stands in the prompt alone, SmolLM2 repeats it unless it has seen answers.
EXAMPLES: Any = [
    {"role": "user", "content": "The plot was dull and far too long. Is that positive or negative?"},
    {"role": "assistant", "content": '{"sentiment": "negative"}'},
    {"role": "user", "content": "A warm and funny story. Is that positive or negative?"},
    {"role": "assistant", "content": '{"sentiment": "positive"}'},
]


class Review(BaseModel):
    """What a review says."""

    sentiment: Literal["positive", "negative"]


def client(mode: Mode) -> Any:
    """instructor's client in ``mode``."""
    return instructor.from_openai(openai.OpenAI(max_retries=0, timeout=120), mode=mode)


def create(mode: Mode, *examples: Any) -> None:
    """An answer of the class, as ``mode`` asks for it, after ``examples``."""
    settings = {**SETTINGS, "messages": [*examples, *MESSAGES]}
    assert isinstance(client(mode).chat.completions.create(response_model=Review, **settings), Review)


@capability("Mode.TOOLS")
def tools() -> None:
    create(Mode.TOOLS)


@capability("Mode.TOOLS_STRICT")
def tools_strict() -> None:
    create(Mode.TOOLS_STRICT)


@capability("Mode.JSON, after two examples")
def json() -> None:
    create(Mode.JSON, *EXAMPLES)


@capability("Mode.JSON_SCHEMA")
def json_schema() -> None:
    create(Mode.JSON_SCHEMA)


@capability("Mode.MD_JSON, after two examples")
def md_json() -> None:
    create(Mode.MD_JSON, *EXAMPLES)


@capability("create_partial (TOOLS), streamed")
def partial() -> None:
    found = list(client(Mode.TOOLS).chat.completions.create_partial(response_model=Review, **SETTINGS))
    assert found[-1].sentiment in ("positive", "negative")


@capability("create_iterable (JSON_SCHEMA), streamed")
def iterable() -> None:
    found = client(Mode.JSON_SCHEMA).chat.completions.create_iterable(response_model=Review, **SETTINGS)
    assert all(isinstance(each, Review) for each in found)


@capability("Mode.RESPONSES_TOOLS")
def responses_tools() -> str:
    try:
        create(Mode.RESPONSES_TOOLS)
    except Exception as error:
        assert "tools are not supported by /v1/responses" in str(error), error
        return "tools are not supported by /v1/responses; chat completions have them"
    raise AssertionError("it was not refused")


run_all()
