"""What the retention suites cost for base and tuned model together, and what they find.

Run ``python -m benchmarks.suites_speed [--base_model smollm2] [--adapter FOLDER] [--suites auto] [--threads 2]``.
``--adapter`` is a checkpoint of ``-e pirate`` (``checkpoints/step-N`` of its run); without it an adapter of random
weights is measured. Seconds are of the wall clock and of the process on all its threads. Bound: 30 s for all six on
SmolLM2 with 2 cores, on a quiet machine.
"""

import argparse
import time
from typing import Any

import torch

from data import pirate
from evals import metrics
from evals.generation import Decoding
from evals.suites import table
from evals.suites.language_model import LanguageModel
from evals.suites.suite import HeldOut
from train.config import FinetuneConfig
from train.finetune import load_base
from train.trainable import make_trainable


def tuned(model: Any, adapter: str) -> Any:
    """The base with the adapter of a folder, or with random weights."""
    if adapter:
        from peft import PeftModel

        return PeftModel.from_pretrained(model, adapter).eval()
    model = make_trainable(model, FinetuneConfig()).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(3)), alpha=0.02)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base_model", default="smollm2")
    parser.add_argument("--adapter", default="")
    parser.add_argument("--suites", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    base = load_base(FinetuneConfig(base_model=asked.base_model))
    model = LanguageModel(tuned(base.model, asked.adapter), base.tokenizer, Decoding())
    responses = [row.response for row in pirate.named_rows("clean")]
    held_out = HeldOut(pirate.test_rows(), has_style=pirate.has_pirate_words, training_responses=responses)
    wall, work = 0.0, 0.0
    for suite in table.choose(held_out, asked.suites, base.parameters):
        start, used = time.perf_counter(), time.process_time()
        before, after = table.evaluate_both(model, [suite])
        seconds, cpu = time.perf_counter() - start, time.process_time() - used
        wall, work = wall + seconds, work + cpu
        print(f"{suite.name:14} {seconds:7.1f} s   {cpu:7.1f} CPU s", flush=True)
        first, second = table.metrics(before), table.metrics(after)
        changes = metrics.changes(table.statistics(before), table.statistics(after))
        for name in first:
            change = changes[name].text(".3f") if name in changes else ""
            print(f"  {name:38} {first[name]:8.3f} {second[name]:8.3f}   {change}", flush=True)
    print(f"{'all':14} {wall:7.1f} s   {work:7.1f} CPU s")


if __name__ == "__main__":
    main()
