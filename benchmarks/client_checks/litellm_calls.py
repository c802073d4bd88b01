"""``litellm`` against the server; run by ``benchmarks.clients`` in an environment of its own."""

import asyncio
import json
from typing import Any, Literal

import litellm
from pydantic import BaseModel

from benchmarks.client_checks.checks import BASE_URL, KEY, LARGER, MODEL, capability, refusal, run_all

WHERE: Any = {"api_base": BASE_URL, "api_key": KEY, "num_retries": 0, "timeout": 120}
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
SHORT: Any = {"model": f"openai/{MODEL}", "messages": MESSAGES, "temperature": 0, "max_tokens": 16, **WHERE}


class Review(BaseModel):
    """What a review says."""

    sentiment: Literal["positive", "negative"]


@capability("completion")
def completion() -> None:
    found: Any = litellm.completion(**SHORT, logprobs=True, top_logprobs=2, seed=1)
    assert isinstance(found.choices[0].message.content, str) and found.usage.completion_tokens


@capability("completion, stream; stream_chunk_builder")
def stream() -> None:
    chunks: Any = list(litellm.completion(**SHORT, stream=True, stream_options={"include_usage": True}))
    built: Any = litellm.stream_chunk_builder(chunks, messages=MESSAGES)
    assert chunks[-1].usage or built.usage.completion_tokens


@capability("acompletion")
def asynchronous() -> None:
    found: Any = asyncio.run(litellm.acompletion(**SHORT))
    assert isinstance(found.choices[0].message.content, str)


@capability("completion, response_format of a class; json_object")
def structured() -> None:
    found: Any = litellm.completion(**(SHORT | {"max_tokens": 150}), response_format=Review)
    Review.model_validate_json(found.choices[0].message.content)
    asked = [{"role": "user", "content": 'Write the JSON {"a": 1} and nothing else.'}]
    more = {"model": f"openai/{LARGER}", "messages": asked, "max_tokens": 150}
    found = litellm.completion(**(SHORT | more), response_format={"type": "json_object"})
    assert isinstance(json.loads(found.choices[0].message.content), dict)


@capability("completion, tools")
def tools() -> None:
    city = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    function = {"name": "weather", "description": "The weather in a city.", "parameters": city}
    more = {"model": f"openai/{LARGER}", "messages": [{"role": "user", "content": "How is the weather in Paris?"}]}
    settings = SHORT | more | {"max_tokens": 100}
    found: Any = litellm.completion(
        **settings, tools=[{"type": "function", "function": function}], tool_choice="required"
    )
    assert json.loads(found.choices[0].message.tool_calls[0].function.arguments)["city"] in ("Paris", "Rome")


@capability("completion, vLLM's top_k and min_p")
def extra() -> None:
    found: Any = litellm.completion(**SHORT, extra_body={"top_k": 1, "min_p": 0.1})
    assert isinstance(found.choices[0].message.content, str)


@capability("text_completion")
def text_completion() -> None:
    settings: Any = {"model": f"text-completion-openai/{MODEL}", "prompt": "One two three", "max_tokens": 8, **WHERE}
    found: Any = litellm.text_completion(**settings)
    assert isinstance(found.choices[0].text, str)


@capability("responses")
def responses() -> None:
    settings: Any = {"model": f"openai/{MODEL}", "input": "Say hello.", "max_output_tokens": 16, **WHERE}
    found: Any = litellm.responses(**settings)
    assert found.output[0].content[0].text is not None
    assert list(litellm.responses(**settings, stream=True))


@capability("embedding")
def embedding() -> None:
    named = "openai/text-embedding-3-small"  # LiteLLM takes dimensions for this name alone
    found: Any = litellm.embedding(model=named, input=["a b", "c"], dimensions=16, **WHERE)
    assert [len(each["embedding"]) for each in found.data] == [16, 16]


@capability("moderation")
def moderation() -> str:
    return refusal(lambda: litellm.moderation(input="Say hello.", model="omni-moderation-latest", **WHERE))


run_all()
