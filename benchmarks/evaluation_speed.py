"""What evaluation costs: answers of base and tuned model, label probabilities beside answers, and cutting texts.

Run ``python -m benchmarks.evaluation_speed [--base_model bundled] [--parts pirate labels both cut] [--rounds 3]
[--threads 1] [--reviews imdb_test.jsonl.gz] [--rows 100]``. Paired and in turns, with a LoRA adapter of random
weights. Seconds are the process's CPU seconds, so that other work on the machine counts less. Without ``--reviews``
the bundled reviews are asked, uncut.

``pirate``, on the pirate set's test rows:

- "generate": Transformers' ``generate`` for the base, then for the tuned model, in batches of 32 (what evaluation did
  until 2026-11-27);
- "apart": this project's decoding, first the base, then the tuned model;
- "together": both in one batch, which is what evaluation does.

``labels``, on reviews, at most 8 new tokens:

- "pass and steps": one plain forward pass over each prompt alone, and seven forward passes of one token for a batch of
  32 rows after caches of the median length; no answer can cost less;
- "scoring alone": label probabilities without answers;
- "labels apart": answers, then label probabilities from a second pass over the prompts;
- "labels together": both from one computation of each prompt, which is what evaluation does; bound: 1.3 times "pass
  and steps".

``both``, on reviews: base and tuned model with labels, "one after the other" and "in one batch".

``cut``: reviews cut to 504 tokens, in seconds for 50,000; bound: 60.
"""

import argparse
import copy
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import DynamicCache

from data import pirate
from data.chat_template import pieces, prompt_ids, segments
from data.datasets import load
from data.formats import reviews
from data.labelled import SENTIMENTS
from data.prompts import REVIEW, conversation, fitted
from evals.generation import Decoding, answer, answer_both
from evals.label_likelihood import generate_labels, generate_labels_both, score_labels
from train.config import FinetuneConfig
from train.finetune import load_base
from train.trainable import make_trainable, pristine

BATCH, NEW_TOKENS, CUT_AT = 32, 8, 504
Ways = dict[str, Callable[[], Any]]


@torch.no_grad()
def generate(model: Any, tokenizer: Any, rows: list[Any], cap: int) -> list[str]:
    """Greedy answers by Transformers alone, prompts padded on the left, in batches of similar length."""
    prompts = [prompt_ids(tokenizer, row.turns[:-1], row.prompt, row.system) for row in rows]
    order = sorted(range(len(rows)), key=lambda i: len(prompts[i]))
    found = {}
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        width = max(len(prompts[i]) for i in chosen)
        ids = torch.tensor([[0] * (width - len(prompts[i])) + prompts[i] for i in chosen])
        mask = torch.tensor([[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen])
        end = tokenizer.eos_token_id
        out = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=cap, do_sample=False,
                             eos_token_id=end, pad_token_id=end)  # fmt: skip
        for i, row in zip(chosen, out[:, width:].tolist(), strict=True):
            kept = row[: row.index(end)] if end in row else row
            found[i] = tokenizer.decode(kept, skip_special_tokens=True).strip()
    return [found[i] for i in range(len(rows))]


@torch.no_grad()
def pass_and_steps(model: Any, prompts: list[list[int]]) -> None:
    """The least that answers can cost: each prompt once, and one token of all rows at a time after it."""
    order = sorted(prompts, key=len)
    for prompt in [*order[: len(order) // 2], *order[len(order) // 2 + 1 :], order[len(order) // 2]]:
        cache = DynamicCache(config=model.config)
        model(input_ids=torch.tensor([prompt]), past_key_values=cache, logits_to_keep=1)
    for start in range(0, len(prompts), BATCH):
        n = len(prompts[start : start + BATCH])
        each = copy.deepcopy(cache)
        each.batch_repeat_interleave(n)
        for _ in range(NEW_TOKENS - 1):
            model(input_ids=torch.ones((n, 1), dtype=torch.long), past_key_values=each)


def measured(ways: Ways, rounds: int, against: str) -> dict[str, Any]:
    """Run the ways in turns, print the median CPU seconds and the median ratio to ``against``; their last results."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, Any] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            said[name] = way()
            spent[name].append(time.process_time() - start)
    for name, seconds in spent.items():
        ratio = median(a / b for a, b in zip(seconds, spent[against], strict=True))
        print(f"{name:20} {median(seconds):7.2f} s   {ratio:5.2f} times {against}", flush=True)
    return said


def pirate_part(model: Any, tokenizer: Any, rounds: int) -> None:
    rows, cap = pirate.test_rows(), 64

    def one_by_one(answers: Callable[[], list[str]]) -> tuple[list[str], list[str]]:
        with pristine(model):
            before = answers()
        return before, answers()

    said = measured({
        "generate": lambda: one_by_one(lambda: generate(model, tokenizer, rows, cap)),
        "apart": lambda: one_by_one(lambda: [a.text for a in answer(model, tokenizer, rows, Decoding(cap))]),
        "together": lambda: tuple(
            [each.text for each in side] for side in answer_both(model, tokenizer, rows, Decoding(cap))
        ),
    }, rounds, "generate")  # fmt: skip
    for name in ("apart", "together"):
        pairs = [(a, b) for mine, theirs in zip(said[name], said["generate"], strict=True)
                 for a, b in zip(mine, theirs, strict=True)]  # fmt: skip
        print(f"{name}: {sum(a == b for a, b in pairs)} of {len(pairs)} answers are those of generate")


def labels_part(model: Any, tokenizer: Any, rounds: int, rows: list[Any]) -> None:
    asked = [conversation(row, SENTIMENTS, REVIEW) for row in rows]
    prompts = [prompt_ids(tokenizer, (), row.prompt, row.system) for row in asked]
    base, decoding = model.get_base_model(), Decoding(NEW_TOKENS)
    print(f"labels: {len(rows)} prompts of {sum(map(len, prompts)):,} tokens")
    with pristine(model):
        said = measured({
            "pass and steps": lambda: pass_and_steps(base, prompts),
            "scoring alone": lambda: score_labels(base, tokenizer, rows, SENTIMENTS, REVIEW),
            "labels together": lambda: generate_labels(base, tokenizer, rows, SENTIMENTS, REVIEW, decoding),
            "labels apart": lambda: (
                answer(base, tokenizer, asked, decoding),
                score_labels(base, tokenizer, rows, SENTIMENTS, REVIEW),
            ),
        }, rounds, "pass and steps")  # fmt: skip
    answers, scored = said["labels apart"]
    together = said["labels together"]
    gaps = [abs(one.p_positive - other.p_positive) for one, other in zip(together, scored, strict=True)]
    same = sum(one.raw == other.text for one, other in zip(together, answers, strict=True))
    print(f"labels together: probabilities differ by at most {max(gaps):.1e}, {same} of {len(gaps)} answers are equal")


def both_part(model: Any, tokenizer: Any, rounds: int, rows: list[Any]) -> None:
    arguments = (model, tokenizer, rows, SENTIMENTS, REVIEW, Decoding(NEW_TOKENS))

    def apart() -> Any:
        with pristine(model):
            before = generate_labels(*arguments)
        return before, generate_labels(*arguments)

    ways: Ways = {"one after the other": apart, "in one batch": lambda: generate_labels_both(*arguments)}
    said = measured(ways, rounds, "one after the other")
    pairs = [(a, b) for mine, theirs in zip(*said.values(), strict=True) for a, b in zip(mine, theirs, strict=True)]
    gap = max(abs(a.p_positive - b.p_positive) for a, b in pairs)
    same = sum(a.raw == b.raw for a, b in pairs)
    print(f"in one batch: {same} of {len(pairs)} answers are equal, probabilities differ by at most {gap:.1e}")


def cut_part(tokenizer: Any, rows: list[Any]) -> None:
    def count(row: Any) -> int:
        return sum(len(piece) for _, piece in pieces(segments(tokenizer, row.turns, row.system), tokenizer))

    def count_texts(texts: Any) -> list[int]:
        return list(map(len, tokenizer(list(texts), add_special_tokens=False)["input_ids"]))

    start = time.process_time()
    _, cut = fitted(rows, SENTIMENTS, REVIEW, count, CUT_AT, count_texts)
    seconds = (time.process_time() - start) * 50_000 / len(rows)
    print(f"cut: {cut} of {len(rows)} rows, {seconds:.0f} s for 50,000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_model", default="bundled")
    parser.add_argument("--parts", nargs="+", default=["pirate", "labels", "both", "cut"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--reviews", type=Path)
    parser.add_argument("--rows", type=int, default=100)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    base = load_base(FinetuneConfig(base_model=asked.base_model))
    model, tokenizer = make_trainable(base.model, FinetuneConfig()), base.tokenizer
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(3)), alpha=0.02)
    model.eval()
    every = reviews.read(asked.reviews)[0] if asked.reviews else list(load("reviews", 7, 0, 0, "").test)
    random.Random(0).shuffle(every)
    rows = every[: asked.rows]
    parts: Ways = {
        "pirate": lambda: pirate_part(model, tokenizer, asked.rounds),
        "labels": lambda: labels_part(model, tokenizer, asked.rounds, rows),
        "both": lambda: both_part(model, tokenizer, asked.rounds, rows),
        "cut": lambda: cut_part(tokenizer, every[:2000]),
    }
    for name in asked.parts:
        parts[name]()


if __name__ == "__main__":
    main()
