"""``dspy`` against the server; run by ``benchmarks.clients`` in an environment of its own.

DSPy's prompts are longer than the bundled base takes, so SmolLM2 answers.
"""

from typing import Any, Literal

import dspy

from benchmarks.client_checks.checks import BASE_URL, KEY, LARGER, capability, run_all

SHORT: Any = {"api_base": BASE_URL, "api_key": KEY, "temperature": 0, "max_tokens": 150, "cache": False}
lm = dspy.LM(f"openai/{LARGER}", num_retries=0, **SHORT)


class Sentiment(dspy.Signature):
    """Say whether the reviewer liked the film."""

    review: str = dspy.InputField()
    sentiment: Literal["positive", "negative"] = dspy.OutputField()


def predict(signature: Any, adapter: Any, **inputs: str) -> Any:
    """The prediction of ``signature``."""
    with dspy.context(lm=lm, adapter=adapter):
        return dspy.Predict(signature)(**inputs)


@capability("LM: a chat")
def chat() -> None:
    assert lm("Say hello.")


@capability("Predict, JSONAdapter (json_schema)")
def plain() -> None:
    assert isinstance(predict("question -> answer", dspy.JSONAdapter(), question="Where is Paris?").answer, str)


@capability("Predict of a typed signature, JSONAdapter (json_schema)")
def typed() -> None:
    found = predict(Sentiment, dspy.JSONAdapter(), review="I loved every minute of it.")
    assert found.sentiment in ("positive", "negative")


@capability("Predict, ChatAdapter, DSPy's default (falls back to JSON)")
def default() -> None:
    found = predict(Sentiment, dspy.ChatAdapter(), review="I loved every minute of it.")
    assert found.sentiment in ("positive", "negative")


@capability("ChainOfThought of a typed signature, JSONAdapter")
def thought() -> None:
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        found = dspy.ChainOfThought(Sentiment)(review="I hated it.")
    assert found.reasoning and found.sentiment in ("positive", "negative")


@capability("Embedder")
def embedder() -> None:
    model: Any = dspy.Embedder("openai/text-embedding-3-small", api_base=BASE_URL, api_key=KEY, caching=False)
    assert model(["a b", "c"]).shape[0] == 2


run_all()
