"""``inspect_ai`` against the server: small tasks of local samples; run by ``benchmarks.clients``."""

import os
import tempfile
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, ResponseSchema, get_model
from inspect_ai.scorer import choice, includes
from inspect_ai.solver import generate, multiple_choice, system_message, use_tools
from inspect_ai.tool import tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

from benchmarks.client_checks.checks import BASE_URL, KEY, LARGER, MODEL, capability, run_all

os.environ |= {"PARLEY_BASE_URL": BASE_URL, "PARLEY_API_KEY": KEY}
SETTINGS: Any = {"display": "none", "log_dir": tempfile.mkdtemp(prefix="inspect-"), "retry_on_error": 0}
SHORT = GenerateConfig(max_tokens=16, temperature=0, max_retries=0, timeout=120)


class Greeting(BaseModel):
    """What a structured answer holds."""

    polite: bool


@tool
def weather() -> Any:
    """The weather in a city."""

    async def execute(city: str) -> str:
        """The weather in a city.

        Args:
            city: The city.
        """
        return f"It is sunny in {city}."

    return execute


def run(task: Task, model: str, **more: Any) -> Any:
    """The log of ``task``, which ends well."""
    (log,) = eval(task, model=get_model(model, config=SHORT, **more), **SETTINGS)
    assert log.status == "success" and log.samples, log.error
    return log


def samples(**more: Any) -> MemoryDataset:
    """Two samples."""
    return MemoryDataset([Sample("Say hello.", target="hello", **more), Sample("Say ahoy.", target="ahoy", **more)])


def scored(model: str, **more: Any) -> None:
    """A task of two samples, scored by a text that the answer includes."""
    log = run(Task(samples(), solver=[system_message("Be kind."), generate()], scorer=includes()), model, **more)
    assert len(log.samples) == 2 and log.results.scores[0].metrics["accuracy"].value in (0, 0.5, 1)


@capability("eval of a task, model openai/...")
def openai() -> None:
    scored(f"openai/{MODEL}")


@capability("eval of a task, model openai-api/parley/...")
def compatible() -> None:
    scored(f"openai-api/parley/{MODEL}")


@capability("eval of a task, responses_api=True")
def responses() -> None:
    scored(f"openai/{MODEL}", responses_api=True)


@capability("multiple_choice and choice()")
def multiple() -> None:
    questions = MemoryDataset([Sample("Which is a colour?", choices=["red", "seven"], target="A")])
    run(Task(questions, solver=multiple_choice(), scorer=choice()), f"openai/{MODEL}")


@capability("response_schema, logprobs")
def schema() -> None:
    shape = ResponseSchema(name="greeting", json_schema=json_schema(Greeting), strict=True)
    config = GenerateConfig(max_tokens=150, response_schema=shape, logprobs=True, top_logprobs=2)
    log = run(Task(samples(), solver=generate(), config=config), f"openai/{MODEL}")
    Greeting.model_validate_json(log.samples[0].output.completion)
    assert log.samples[0].output.choices[0].logprobs


@capability("use_tools")
def tools() -> None:
    task = Task(samples()[:1], solver=[use_tools(weather()), generate(tool_calls="single")])
    run(task, f"openai/{LARGER}")


run_all()
