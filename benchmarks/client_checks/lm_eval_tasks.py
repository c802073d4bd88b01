"""lm-eval's API backends against the server, with the server's own tokenizer; see ``benchmarks.clients``."""

import os
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

from benchmarks.client_checks.checks import BASE_URL, KEY, MODEL, capability, run_all

os.environ["OPENAI_API_KEY"] = KEY


def completions() -> LocalCompletionsAPI:
    """The backend ``local-completions``, which asks the server for tokens."""
    client: Any = LocalCompletionsAPI
    return client(
        base_url=f"{BASE_URL}/completions", model=MODEL, tokenizer_backend="remote", auth_token=KEY, max_length=256
    )


@capability("local-completions: loglikelihood")
def loglikelihood() -> None:
    pairs = [("Where is the boat?", " In the harbour."), ("Where is the boat?", " Aye.")]
    found = completions().loglikelihood([Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)])
    assert len(found) == 2 and all(value < 0 for value, _ in found)


@capability("local-completions: loglikelihood_rolling")
def rolling() -> None:
    (found,) = completions().loglikelihood_rolling([Instance("loglikelihood_rolling", {}, ("The sea is calm.",), 0)])
    assert found < 0


@capability("local-completions: generate_until")
def generate() -> None:
    settings = {"until": ["\n"], "max_gen_toks": 8}
    (found,) = completions().generate_until([Instance("generate_until", {}, ("One two three", settings), 0)])
    assert isinstance(found, str)


@capability("local-chat-completions: generate_until")
def chat() -> None:
    from lm_eval.models.api_models import JsonChatStr

    client: Any = LocalChatCompletion
    backend = client(base_url=f"{BASE_URL}/chat/completions", model=MODEL)
    asked = JsonChatStr('[{"role": "user", "content": "Say hello."}]')
    settings = {"until": ["\n"], "max_gen_toks": 8}
    (found,) = backend.generate_until([Instance("generate_until", {}, (asked, settings), 0)])
    assert isinstance(found, str)


run_all()
