"""``langchain-openai`` against the server; run by ``benchmarks.clients`` in an environment of its own."""

import asyncio
from typing import Any, Literal

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

from benchmarks.client_checks.checks import LARGER, MODEL, capability, refusal, run_all

SHORT: Any = {"temperature": 0, "max_retries": 0, "timeout": 120}
chat = ChatOpenAI(model=MODEL, max_tokens=16, **SHORT)
longer = ChatOpenAI(model=MODEL, max_tokens=150, **SHORT)
larger = ChatOpenAI(model=LARGER, max_tokens=100, **SHORT)


class Review(BaseModel):
    """What a review says."""

    sentiment: Literal["positive", "negative"] = Field(description="whether the reviewer liked the film")


@tool
def weather(city: Literal["Paris", "Rome"]) -> str:
    """The weather in a city."""
    return f"It is sunny in {city}."


@capability("invoke")
def invoke() -> None:
    found = chat.invoke("Say hello.")
    assert isinstance(found.content, str) and found.usage_metadata and found.response_metadata["finish_reason"]


@capability("invoke: logprobs, stop, seed")
def settings() -> None:
    found = chat.bind(logprobs=True, top_logprobs=2, stop=["."], seed=1).invoke("Say hello.")
    assert found.response_metadata["logprobs"]["content"]


@capability("stream, with usage")
def stream() -> None:
    chunks = list(chat.stream("Say hello.", stream_usage=True))
    assert len(chunks) > 2 and any(chunk.usage_metadata for chunk in chunks)


@capability("batch, abatch")
def batch() -> None:
    assert len(chat.batch(["One.", "Two."])) == len(asyncio.run(chat.abatch(["One.", "Two."]))) == 2


@capability("bind_tools, and the result sent back")
def tools() -> None:
    asked = HumanMessage("What is the weather in Paris?")
    called = larger.bind_tools([weather], tool_choice="required").invoke([asked])
    assert isinstance(called, AIMessage) and called.tool_calls[0]["args"]["city"] in ("Paris", "Rome"), called
    results = [weather.invoke(call) for call in called.tool_calls]
    assert isinstance(results[0], ToolMessage)
    assert larger.bind_tools([weather]).invoke([asked, called, *results]).content


@capability("bind_tools, stream, tool_choice by name")
def tools_stream() -> None:
    whole: Any = None
    for chunk in larger.bind_tools([weather], tool_choice="weather").stream("What is the weather in Rome?"):
        whole = chunk if whole is None else whole + chunk
    assert whole.tool_calls[0]["name"] == "weather" and whole.tool_calls[0]["args"]["city"] in ("Paris", "Rome")


def structured(model: ChatOpenAI, method: Any, **more: Any) -> None:
    """A structured answer by ``method``, at once and streamed."""
    asker = model.with_structured_output(Review, method=method, **more)
    assert isinstance(asker.invoke("I loved it."), Review)
    assert isinstance(list(asker.stream("I loved it."))[-1], Review)


@capability("with_structured_output, json_schema")
def json_schema() -> None:
    structured(longer, "json_schema")
    structured(longer, "json_schema", strict=True)


@capability("with_structured_output, function_calling")
def function_calling() -> None:
    structured(larger, "function_calling")


@capability("with_structured_output, json_mode")
def json_mode() -> None:
    asked = 'Is "I loved it." positive or negative? Answer with JSON such as {"sentiment": "positive"}.'
    assert isinstance(larger.with_structured_output(None, method="json_mode").invoke(asked), dict)


@capability("use_responses_api: invoke, stream, structured output")
def responses() -> None:
    asker = ChatOpenAI(model=MODEL, max_tokens=150, use_responses_api=True, **SHORT)
    assert asker.invoke("Say hello.").text and list(asker.stream("Say hello."))
    assert isinstance(asker.with_structured_output(Review, method="json_schema").invoke("I loved it."), Review)


@capability("use_responses_api: bind_tools")
def responses_tools() -> str:
    return refusal(lambda: ChatOpenAI(model=MODEL, use_responses_api=True, **SHORT).bind_tools([weather]).invoke("Hi."))


@capability("OpenAI (completions)")
def completions() -> None:
    assert isinstance(OpenAI(model=MODEL, max_tokens=8, temperature=0).invoke("One two three"), str)


@capability("OpenAIEmbeddings, check_embedding_ctx_length=False")
def embeddings() -> None:
    embedder = OpenAIEmbeddings(model=MODEL, check_embedding_ctx_length=False, dimensions=16)
    assert [len(each) for each in embedder.embed_documents(["a b", "c"])] == [16, 16]
    assert len(embedder.embed_query("a b")) == 16


run_all()
