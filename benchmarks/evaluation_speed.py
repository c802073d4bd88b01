"""What evaluation costs: answers of base and tuned model, and label probabilities beside answers.

Run ``python -m benchmarks.evaluation_speed [--base_model bundled] [--rounds 3] [--threads 1]``. Paired and in turns on
the pirate set's test rows and on bundled reviews, with a LoRA adapter of random weights. Seconds are the process's CPU
seconds, so that other work on the machine counts less:

- "generate": Transformers' ``generate`` for the base, then for the tuned model, in batches of 32 (what evaluation did
  until 2026-11-27);
- "apart": this project's decoding, first the base, then the tuned model;
- "together": both in one batch, which is what evaluation does;
- "labels apart": answers, then label probabilities from a second pass over the prompts;
- "labels together": both from one computation of each prompt, which is what evaluation does.

Every answer is compared with that of ``generate``.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from data import pirate
from data.chat_template import prompt_ids
from data.datasets import load
from data.labelled import SENTIMENTS
from data.prompts import REVIEW, conversation
from evals.generation import Decoding, answer, answer_both
from evals.label_likelihood import generate_labels, score_labels
from train.config import FinetuneConfig
from train.finetune import load_base
from train.trainable import make_trainable, pristine

BATCH = 32
REVIEWS = 100


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_model", default="bundled")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    base = load_base(FinetuneConfig(base_model=asked.base_model))
    model, tokenizer = make_trainable(base.model, FinetuneConfig()), base.tokenizer
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(3)), alpha=0.02)
    model.eval()
    rows, cap = pirate.test_rows(), 64
    reviews = list(load("reviews", 7, 0, REVIEWS, "").test)
    asked_rows = [conversation(row, SENTIMENTS, REVIEW) for row in reviews]
    brief = Decoding(8)

    def one_by_one(answers: Callable[[], list[str]]) -> tuple[list[str], list[str]]:
        with pristine(model):
            before = answers()
        return before, answers()

    def texts(rows: list[Any], decoding: Decoding) -> list[str]:
        return [each.text for each in answer(model, tokenizer, rows, decoding)]

    ways: dict[str, Callable[[], Any]] = {
        "generate": lambda: one_by_one(lambda: generate(model, tokenizer, rows, cap)),
        "apart": lambda: one_by_one(lambda: texts(rows, Decoding(cap))),
        "together": lambda: tuple(
            [each.text for each in side] for side in answer_both(model, tokenizer, rows, Decoding(cap))
        ),
        "labels apart": lambda: (
            texts(asked_rows, brief),
            score_labels(model, tokenizer, reviews, SENTIMENTS, REVIEW),
        ),
        "labels together": lambda: generate_labels(model, tokenizer, reviews, SENTIMENTS, REVIEW, brief),
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    said: dict[str, Any] = {}
    for _ in range(asked.rounds):
        for name, way in ways.items():
            start = time.process_time()
            said[name] = way()
            spent[name].append(time.process_time() - start)
    for name, seconds in spent.items():
        against = "generate" if "labels" not in name else "labels apart"
        ratio = median(a / b for a, b in zip(spent[against], seconds, strict=True))
        print(f"{name:16} {median(seconds):7.2f} s   {ratio:5.2f} times as fast as {against}")
    for name in ("apart", "together"):
        pairs = [(a, b) for mine, theirs in zip(said[name], said["generate"], strict=True)
                 for a, b in zip(mine, theirs, strict=True)]  # fmt: skip
        print(f"{name}: {sum(a == b for a, b in pairs)} of {len(pairs)} answers are those of generate")
    gaps = [abs(one.p_positive - other.p_positive) for one, other in
            zip(said["labels together"], said["labels apart"][1], strict=True)]  # fmt: skip
    same = sum(one.raw == text for one, text in zip(said["labels together"], said["labels apart"][0], strict=True))
    print(f"labels together: probabilities differ by at most {max(gaps):.1e}, {same} of {len(gaps)} answers are equal")


if __name__ == "__main__":
    main()
