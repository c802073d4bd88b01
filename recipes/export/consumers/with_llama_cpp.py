"""Answers of an exported GGUF file by llama.cpp's server, over HTTP, with its own rendering of the chat template."""

import glob
import json
import math
import sys
import urllib.request
from typing import Any

import xllamacpp

#: llama.cpp names the likeliest tokens only: this is how many it lists.
LIKELIEST = 50
#: Makes the server choose a token; the log-probabilities that it names are without it.
BIAS = 1e6
TIMEOUT_S = 600


def main(task_path: str, result_path: str) -> None:
    """Read the task, answer, and write the result; see the package's docstring."""
    with open(task_path, encoding="utf-8") as stream:
        task = json.load(stream)
    (file,) = glob.glob(f"{glob.escape(task['folder'])}/*.gguf")
    server = _start(file, task)
    prompts = [_prompt(server, messages) for messages in task["messages"]]
    answers = [_answer(server, messages, task["max_new_tokens"]) for messages in task["messages"]]
    scored = [
        _log_probs(server, prompt, own, answer)
        for prompt, own, answer in zip(prompts, task["tokens"], answers, strict=True)
    ]
    result = {
        "prompts": prompts,
        "tokens": [[each["id"] for each in answer["tokens"]] for answer in answers],
        "texts": [answer["text"] for answer in answers],
        "log_probs": scored,
        "vocabulary": _post(server, "/v1/models", None)["data"][0]["meta"]["n_vocab"],
    }
    with open(result_path, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


def _start(file: str, task: dict[str, Any]) -> Any:
    params = xllamacpp.CommonParams()  # pyright: ignore[reportAttributeAccessIssue]
    params.model.path = file
    params.n_parallel = 1
    params.use_jinja = True
    params.warmup = False
    params.verbosity = -1
    params.n_ctx = max(map(len, task["tokens"])) + task["longest_prompt"] + 8
    if task["threads"]:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = task["threads"]
    return xllamacpp.Server(params)  # pyright: ignore[reportAttributeAccessIssue]


def _post(server: Any, path: str, body: Any) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.listening_address + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)


def _prompt(server: Any, messages: list[dict[str, str]]) -> list[int]:
    """The token ids that the server reads: its own template, its own tokenizer."""
    text = _post(server, "/apply-template", {"messages": messages})["prompt"]
    return _post(server, "/tokenize", {"content": text, "add_special": True, "parse_special": True})["tokens"]


def _answer(server: Any, messages: list[dict[str, str]], max_new_tokens: int) -> dict[str, Any]:
    body = {"messages": messages, "max_tokens": max_new_tokens, "temperature": 0, "logprobs": True, "top_logprobs": 1}
    choice = _post(server, "/v1/chat/completions", {**body, "reasoning_format": "none"})["choices"][0]
    return {"text": choice["message"]["content"] or "", "tokens": (choice.get("logprobs") or {}).get("content") or []}


def _log_probs(server: Any, prompt: list[int], own: list[int], answer: dict[str, Any]) -> list[float | None]:
    """The log-probabilities of the version's tokens: those of the answer while it is the same, then one by one."""
    found: list[float | None] = []
    for token, generated in zip(own, answer["tokens"], strict=False):
        if generated["id"] != token:
            break
        found.append(math.nan if generated["logprob"] is None else generated["logprob"])
    for k in range(len(found), len(own)):
        found.append(_log_prob(server, [*prompt, *own[:k]], own[k]))
    return found


def _log_prob(server: Any, prompt: list[int], token: int) -> float | None:
    """The log-probability of ``token`` after ``prompt``, before any bias; None if it is unknown.

    A bias makes the server choose the token, which it then lists. It lists nothing with a token that begins a
    character; there one that is a whole character is chosen, and the token looked up among the likeliest, whose last
    one is at least as likely as one that is not among them.
    """
    listed = _listed(server, prompt, token)
    if listed:
        return math.nan if listed[0]["logprob"] is None else listed[0]["logprob"]
    whole = _post(server, "/tokenize", {"content": "a"})["tokens"][-1]
    listed = _listed(server, prompt, whole)
    if not listed:
        return None
    likely = {each["id"]: each["logprob"] for each in listed[0]["top_logprobs"]}
    return likely.get(token, min(likely.values()))


def _listed(server: Any, prompt: list[int], token: int) -> list[dict[str, Any]] | None:
    body = {"prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": LIKELIEST, "logit_bias": [[token, BIAS]]}
    return _post(server, "/completion", body).get("completion_probabilities")


if __name__ == "__main__":
    main(*sys.argv[1:])
