"""The ``openai`` package for Python against the server; run by ``benchmarks.clients`` in an environment of its own."""

import base64
import json
import time
from typing import Any

import openai
from pydantic import BaseModel

from benchmarks.client_checks.checks import MODEL, capability, refusal, run_all

client = openai.OpenAI(max_retries=0, timeout=120)
MESSAGES: Any = [{"role": "user", "content": "Say hello."}]
SHORT: Any = {"model": MODEL, "temperature": 0}


class Greeting(BaseModel):
    """What a structured answer holds."""

    polite: bool


@capability("models.list with max_model_len")
def models() -> None:
    assert all((model.model_extra or {})["max_model_len"] for model in client.models.list())


@capability("chat.completions.create")
def chat() -> None:
    found = client.chat.completions.create(**SHORT, messages=MESSAGES, max_tokens=8, logprobs=True, top_logprobs=2)
    assert found.choices[0].message.content is not None and found.usage


@capability("chat.completions.create, stream")
def chat_stream() -> None:
    assert list(client.chat.completions.create(**SHORT, messages=MESSAGES, max_tokens=8, stream=True))


@capability("chat.completions.parse")
def chat_parse() -> None:
    found = client.chat.completions.parse(**SHORT, messages=MESSAGES, max_tokens=100, response_format=Greeting)
    assert isinstance(found.choices[0].message.parsed, Greeting)


@capability("chat.completions.create, tools")
def tools() -> None:
    shape = {"properties": {"polite": {"type": "boolean"}}, "required": ["polite"], "additionalProperties": False}
    function: Any = {"type": "function", "function": {"name": "greet", "parameters": {"type": "object", **shape}}}
    found = client.chat.completions.create(
        **SHORT, messages=MESSAGES, max_tokens=100, tools=[function], tool_choice="required"
    )
    calls: Any = found.choices[0].message.tool_calls
    assert "polite" in json.loads(calls[0].function.arguments)


@capability("completions.create, echo and logprobs")
def completions() -> None:
    found = client.completions.create(model=MODEL, prompt="One two three", echo=True, logprobs=1, max_tokens=1)
    logprobs: Any = found.choices[0].logprobs
    assert found.choices[0].text.startswith("One two three") and len(logprobs.token_logprobs) > 2


@capability("completions.create, suffix")
def suffix() -> str:
    return refusal(lambda: client.completions.create(model=MODEL, prompt="a", suffix="b"))


@capability("responses.create, previous_response_id, retrieve, delete")
def responses() -> None:
    first = client.responses.create(**SHORT, input="Say hello.", max_output_tokens=8, instructions="Be kind.")
    client.responses.create(**SHORT, input="Again.", max_output_tokens=8, previous_response_id=first.id)
    assert client.responses.retrieve(first.id).output_text == first.output_text
    client.responses.delete(first.id)


@capability("responses.create, stream")
def responses_stream() -> None:
    events = list(client.responses.create(**SHORT, input="Say hello.", max_output_tokens=8, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete")


@capability("responses.parse")
def responses_parse() -> None:
    found = client.responses.parse(**SHORT, input="Say hello.", max_output_tokens=100, text_format=Greeting)
    assert isinstance(found.output_parsed, Greeting)


@capability("embeddings.create")
def embeddings() -> None:
    found = client.embeddings.create(model="text-embedding-3-small", input=["a b", "c"], dimensions=16)
    assert [len(each.embedding) for each in found.data] == [16, 16]


@capability("moderations.create")
def moderations() -> str:
    return refusal(lambda: client.moderations.create(input="Say hello."))


@capability("extra_body of vLLM")
def vllm() -> None:
    extra = {"top_k": 1, "guided_choice": ["yes", "no"]}
    found = client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_body=extra)
    assert found.choices[0].message.content in ("yes", "no")


@capability("files, fine_tuning.jobs, result file in base64")
def job() -> None:
    line = {"messages": [*MESSAGES, {"role": "assistant", "content": "Hello."}]}
    rows = "\n".join(json.dumps(line) for _ in range(10)).encode()
    uploaded = client.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    made = client.fine_tuning.jobs.create(
        model=MODEL, training_file=uploaded.id, hyperparameters={"n_epochs": 1, "batch_size": 10}
    )
    until = time.monotonic() + 240
    while client.fine_tuning.jobs.retrieve(made.id).status not in ("succeeded", "failed"):
        assert time.monotonic() < until, "it has not ended"
        time.sleep(0.5)
    done = client.fine_tuning.jobs.retrieve(made.id)
    assert done.status == "succeeded" and done.fine_tuned_model, done.error
    csv = base64.b64decode(client.files.content(done.result_files[0]).read()).decode()
    assert csv.startswith("step,train_loss")
    client.chat.completions.create(model=done.fine_tuned_model, messages=MESSAGES, max_tokens=8)


run_all()
