"""DPO here against TRL's DPOTrainer: the same pairs, batch and adapter, in processes of their own that take turns.

    python -m benchmarks.dpo_speed --base smollm2 --pairs 64 --rounds 2

Prints tokens a second (of both answers with their prompts, which are counted twice as TRL computes them), the peak of
resident memory, and the loss of every step.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

BATCH, RANK, ALPHA, LR, BETA, SEED = 8, 16, 32, 1e-4, 0.1, 7


def base_folder(name: str) -> Path:
    """Folder of the base: ``smollm2``, or a model of distilgpt2's shape with random weights."""
    from train import base_model

    if name != "distilgpt2":
        return base_model.resolve(name).folder
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    folder = Path(tempfile.gettempdir()) / "parley-distilgpt2-shape"
    if not (folder / "config.json").is_file():
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(n_layer=6)).save_pretrained(folder)
        AutoTokenizer.from_pretrained(base_model.BUNDLED).save_pretrained(folder)
    return folder


def encoded(folder: Path, count: int) -> tuple[list[Any], Any]:
    """The first pairs of the bundled set, tokenised, and the tokenizer."""
    from transformers import AutoTokenizer

    from recipes.dpo.config import DpoConfig
    from recipes.dpo.data import load
    from train.encoding import encode_pairs

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return encode_pairs(load(DpoConfig()).preferences[0][:count], tokenizer, 256), tokenizer


def ours(folder: Path, count: int) -> dict[str, Any]:
    """Train one epoch with this project's loop."""
    from train.config import FinetuneConfig, PreferenceSettings
    from train.finetune import finetune, load_base
    from train.losses import PREFERENCE_LOSSES
    from train.resume import StateFolder

    class Losses:
        def __init__(self) -> None:
            self.found: list[float] = []

        def log(self, step: int, metrics: dict[str, float]) -> None:
            self.found += [metrics["train/loss"]] if "train/loss" in metrics else []

        def flush(self) -> None: ...

    pairs, _ = encoded(folder, count)
    config = FinetuneConfig(base_model=str(folder), epochs=1, batch_size=BATCH, lr=LR, rank=RANK, alpha=ALPHA,
                            seed=SEED, schedule="constant", warmup=0, weight_decay=0, clip=0, precision="fp32",
                            load="fp32")  # fmt: skip
    base, tracker = load_base(config), Losses()
    with tempfile.TemporaryDirectory() as state:
        start = perf_counter()
        finetune(
            pairs,
            pairs[:1],
            base,
            config,
            tracker,
            StateFolder(Path(state)),
            PREFERENCE_LOSSES["dpo"](PreferenceSettings(BETA)),
        )
        seconds = perf_counter() - start
    return report(pairs, seconds, tracker.found)


def trl(folder: Path, count: int) -> dict[str, Any]:
    """Train one epoch with TRL's trainer, on the same tokens in the same order."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    from train.config import FinetuneConfig
    from train.packing import epoch_order
    from train.trainable import target_names

    pairs, tokenizer = encoded(folder, count)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapter = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=target_names(model, FinetuneConfig.targets),
                         task_type="CAUSAL_LM", fan_in_fan_out=model.config.model_type == "gpt2")  # fmt: skip
    settings = DPOConfig(output_dir=tempfile.mkdtemp(), use_cpu=True, report_to="none", bf16=False, beta=BETA,
                         seed=SEED,
                         per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=LR, logging_steps=1,
                         lr_scheduler_type="constant", max_grad_norm=0, gradient_checkpointing=False,
                         precompute_ref_log_probs=True, save_strategy="no", disable_tqdm=True)  # fmt: skip
    texts = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    start = perf_counter()
    torch.manual_seed(SEED)
    trainer = DPOTrainer(model, None, settings, train_dataset=texts, processing_class=tokenizer, peft_config=adapter)
    seconds = perf_counter() - start
    rows = Dataset.from_list([as_trl(pairs[i]) for i in epoch_order(len(pairs), SEED, 0)])
    start = perf_counter()
    trainer.train_dataset = trainer._precompute_ref_logps(rows, "train", BATCH)
    trainer._get_train_sampler = lambda train_dataset=None: torch.utils.data.SequentialSampler(trainer.train_dataset)
    trainer.train()
    seconds = perf_counter() - start
    return report(pairs, seconds, [each["loss"] for each in trainer.state.log_history if "loss" in each])


def as_trl(pair: Any) -> dict[str, list[int]]:
    """A pair as TRL's collator takes it."""
    prompt = int((pair.chosen.labels == -100).sum())
    both = [each.input_ids.tolist() for each in (pair.chosen, pair.rejected)]
    return {"prompt_ids": both[0][:prompt], "chosen_ids": both[0][prompt:], "rejected_ids": both[1][prompt:]}


def report(pairs: list[Any], seconds: float, losses: list[float]) -> dict[str, Any]:
    """What one side measured."""
    tokens = sum(len(each.input_ids) for pair in pairs for each in pair.sequences)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"pairs/s": len(pairs) / seconds, "tokens/s": tokens / seconds, "peak MiB": peak, "losses": losses}


def main() -> None:
    """Run both sides in turns, and print what each measured and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", default="smollm2")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", default="")
    given = parser.parse_args()
    if given.side:
        measure = {"ours": ours, "trl": trl}[given.side]
        print(json.dumps(measure(base_folder(given.base), given.pairs)))
        return
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "trl": []}
    for _ in range(given.rounds):
        for side in found:
            command = [sys.executable, "-m", "benchmarks.dpo_speed", "--side", side, "--base", given.base,
                       "--pairs", str(given.pairs)]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
    for side, each in found.items():
        speed, peak = (median(one[key] for one in each) for key in ("tokens/s", "peak MiB"))
        print(f"{side:5} {speed:8.0f} tokens/s {peak:7.0f} MiB  losses {[round(x, 4) for x in each[0]['losses']]}")
    ratios = [one["tokens/s"] / two["tokens/s"] for one, two in zip(found["ours"], found["trl"], strict=True)]
    print(f"ratio of tokens/s, by round: {', '.join(f'{each:.2f}' for each in ratios)}")


if __name__ == "__main__":
    main()
