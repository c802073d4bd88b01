"""Answers of an exported model (Transformers' or PEFT's layout) by Transformers and PEFT alone."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

#: Tokens, padding included, whose keys and values are held at once.
BATCH_TOKENS = 2048


def main(task_path: str, result_path: str) -> None:
    """Read the task, answer, and write the result; see the package's docstring."""
    with open(task_path, encoding="utf-8") as stream:
        task = json.load(stream)
    torch.set_num_threads(task["threads"] or torch.get_num_threads())
    tokenizer = AutoTokenizer.from_pretrained(task["folder"])
    model: Any = AutoModelForCausalLM.from_pretrained(task["base"] or task["folder"], dtype=torch.float32)
    if task["base"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, task["folder"])
    model.eval()
    prompts = [_prompt(tokenizer, messages) for messages in task["messages"]]
    tokens = _answers(model, tokenizer, prompts, task["max_new_tokens"])
    result = {
        "prompts": prompts,
        "tokens": tokens,
        "texts": [tokenizer.decode(each, skip_special_tokens=True) for each in tokens],
        "log_probs": _log_probs(model, prompts, task["tokens"]),
        "vocabulary": model.get_input_embeddings().weight.shape[0],
    }
    with open(result_path, "w", encoding="utf-8") as stream:
        json.dump(result, stream)


def _prompt(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])


def _answers(model: Any, tokenizer: Any, prompts: list[list[int]], max_new_tokens: int) -> list[list[int]]:
    """Greedy answers; what ends one is what the export's own generation configuration says."""
    named = model.generation_config.eos_token_id
    stops = set(named if isinstance(named, list) else [named])
    fill = tokenizer.eos_token_id or 0
    found: list[list[int]] = [[] for _ in prompts]
    for chosen in _batches(prompts, max_new_tokens):
        width = max(len(prompts[i]) for i in chosen)
        ids = torch.tensor([[fill] * (width - len(prompts[i])) + prompts[i] for i in chosen])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen])
        settings = {"max_new_tokens": max_new_tokens, "do_sample": False, "pad_token_id": fill}
        with torch.no_grad():
            made = model.generate(input_ids=ids, attention_mask=mask, **settings)[:, width:].tolist()
        for i, row in zip(chosen, made, strict=True):
            ends = [k + 1 for k, token in enumerate(row) if token in stops]
            found[i] = row[: ends[0]] if ends else row
    return found


def _batches(prompts: list[list[int]], max_new_tokens: int) -> Iterator[list[int]]:
    """Indices of prompts of similar length, so many that they have at most ``BATCH_TOKENS`` tokens."""
    batch: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        if batch and (len(batch) + 1) * (len(prompts[i]) + max_new_tokens) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    yield batch


def _log_probs(model: Any, prompts: list[list[int]], tokens: list[list[int]]) -> list[list[float]]:
    found = []
    for prompt, answer in zip(prompts, tokens, strict=True):
        ids = torch.tensor([[*prompt, *answer]])
        if int(ids.max()) >= model.get_input_embeddings().weight.shape[0]:
            found.append([float("-inf")] * len(answer))
            continue
        with torch.no_grad():
            logits = model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
        found.append(torch.log_softmax(logits, -1).gather(-1, ids[0, len(prompt) :, None])[:, 0].tolist())
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
