"""Preference losses against the trainers of the pinned TRL: loss and gradient on the same batch."""

import math

import numpy as np
import pytest
import torch

from train.base_model import BUNDLED
from train.config import FinetuneConfig, PreferenceSettings
from train.encoding import IGNORE, Example, Pair, Rated
from train.finetune import finetune, load_base
from train.losses import PREFERENCE_LOSSES, log_probs, measure_all, sequence_log_probs, with_reference
from train.packing import pack
from train.resume import StateFolder

CPU = torch.device("cpu")
TOLERANCE = 1e-4


def example(prompt, answer):
    ids = np.array([*prompt, *answer], dtype=np.int32)
    return Example(ids, np.array([*[IGNORE] * len(prompt), *answer], dtype=np.int32))


def pairs(n, prompt_tokens=6, seed=0):
    draw = np.random.default_rng(seed)

    def tokens(least, most):
        return draw.integers(3, 60, draw.integers(least, most))

    prompts = [draw.integers(3, 60, prompt_tokens) for _ in range(n)]
    return [Pair(example(each, tokens(2, 6)), example(each, tokens(4, 9))) for each in prompts]


def referred(model, rows):
    return with_reference(rows, log_probs(model, rows))


@pytest.fixture(scope="module")
def model(gpt2):
    return gpt2().train()


@pytest.fixture(scope="module")
def reference(gpt2):
    return gpt2(seed=1)


@pytest.fixture(scope="module")
def trl_settings(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("trl"))
    return {"output_dir": folder, "use_cpu": True, "report_to": "none", "bf16": False, "gradient_checkpointing": False}


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(BUNDLED)
    found.pad_token = found.pad_token or found.eos_token
    return found


@pytest.fixture(scope="module")
def dpo_trainer(gpt2, trl_settings, tokenizer):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    rows = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    trainer = DPOTrainer(gpt2(), gpt2(), DPOConfig(**trl_settings), train_dataset=rows, processing_class=tokenizer)
    trainer.precompute_ref_logps = True
    return trainer


@pytest.fixture(scope="module")
def kto_trainer(gpt2, trl_settings, tokenizer):
    from datasets import Dataset
    from trl import KTOConfig, KTOTrainer

    rows = Dataset.from_list([{"prompt": "a", "completion": each, "label": each == "b"} for each in "bc"])
    trainer = KTOTrainer(gpt2(), gpt2(), KTOConfig(**trl_settings), train_dataset=rows, processing_class=tokenizer)
    trainer.precompute_ref_logps = True
    return trainer


@pytest.fixture(scope="module")
def orpo_trainer(gpt2, trl_settings, tokenizer):
    from datasets import Dataset
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    rows = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    return ORPOTrainer(gpt2(), ORPOConfig(**trl_settings), train_dataset=rows, processing_class=tokenizer)


def padded(examples):
    """Token ids, attention mask and completion mask of ``examples``, padded at the end."""
    length = max(len(each.input_ids) for each in examples)
    ids, seen, answered = (torch.zeros(len(examples), length, dtype=torch.long) for _ in range(3))
    for i, each in enumerate(examples):
        n = len(each.input_ids)
        ids[i, :n], seen[i, :n] = torch.from_numpy(each.input_ids).long(), 1
        answered[i, :n] = torch.from_numpy((each.labels != IGNORE).astype(np.int64))
    return ids, seen, answered


def ours(model, rows, name, settings):
    """Our loss per row and its gradient."""
    loss = PREFERENCE_LOSSES[name](settings)
    model.zero_grad()
    total, beside = loss.compute(model, pack(rows, 64), CPU)
    (total / len(rows)).backward()
    return total.item() / len(rows), gradient(model), beside / len(rows)


def gradient(model):
    return torch.cat([each.grad.flatten() for each in model.parameters()]).clone()


def theirs(trainer, model, inputs):
    """The trainer's loss and its gradient, for the weights of ``model``."""
    own = trainer.model.train()
    own.load_state_dict(model.state_dict())
    own.zero_grad()
    loss = trainer.compute_loss(own, inputs)
    loss.backward()
    return loss.item(), gradient(own)


def agree(ours, theirs):
    assert ours[0] == pytest.approx(theirs[0], abs=TOLERANCE)
    assert torch.allclose(ours[1], theirs[1], atol=TOLERANCE) and ours[1].abs().max() > 100 * TOLERANCE


@pytest.mark.parametrize(
    ("name", "settings", "loss_types", "weights"),
    [
        ("dpo", PreferenceSettings(beta=0.1), ["sigmoid"], [1.0]),
        ("dpo", PreferenceSettings(beta=0.7, sft_weight=0.3), ["sigmoid", "sft"], [1.0, 0.3]),
        ("ipo", PreferenceSettings(beta=0.2), ["ipo"], [1.0]),
        ("ipo", PreferenceSettings(beta=0.05, sft_weight=2.0), ["ipo", "sft"], [1.0, 2.0]),
    ],
)
def test_losses_of_pairs_are_those_of_trl(dpo_trainer, model, reference, name, settings, loss_types, weights):
    rows = referred(reference, pairs(5))
    model.train()
    ids, seen, answered = padded([row.chosen for row in rows] + [row.rejected for row in rows])
    known = torch.tensor([row.reference for row in rows])
    dpo_trainer.beta, dpo_trainer.loss_types, dpo_trainer.loss_weights = settings.beta, loss_types, weights
    inputs = {"input_ids": ids, "attention_mask": seen, "completion_mask": answered}
    inputs |= {"ref_chosen_logps": known[:, 0], "ref_rejected_logps": known[:, 1]}
    *found, beside = ours(model, rows, name, settings)
    agree(found, theirs(dpo_trainer, model, inputs))
    logged = {key: values[-1] for key, values in dpo_trainer._metrics["train"].items()}
    names = ("rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected")
    assert beside.tolist() == pytest.approx([logged[each] for each in names], abs=1e-3)


def test_label_smoothing_is_that_of_trl(dpo_trainer, model, reference):
    """TRL has it in the loss ``aot``, which for one pair is DPO's."""
    [row] = referred(reference, pairs(1))
    model.train()
    ids, seen, answered = padded([row.chosen, row.rejected])
    dpo_trainer.beta, dpo_trainer.label_smoothing = 0.5, 0.2
    dpo_trainer.loss_types, dpo_trainer.loss_weights = ["aot"], [1.0]
    inputs = {"input_ids": ids, "attention_mask": seen, "completion_mask": answered}
    inputs |= {
        f"ref_{side}_logps": torch.tensor(row.reference)[i : i + 1] for i, side in enumerate(("chosen", "rejected"))
    }
    *found, _ = ours(model, [row], "dpo", PreferenceSettings(beta=0.5, label_smoothing=0.2))
    agree(found, theirs(dpo_trainer, model, inputs))


def test_the_loss_of_rated_answers_is_that_of_trl(kto_trainer, model, reference):
    given = pairs(6)
    answers = [row.chosen if i % 3 else row.rejected for i, row in enumerate(given)]
    others = [example(row.chosen.input_ids[:6], other.input_ids[6:]) for row, other in
              zip(given, answers[1:] + answers[:1], strict=True)]  # fmt: skip
    goods = [bool(i % 3) for i in range(len(given))]
    rows = referred(reference, [Rated(*each) for each in zip(answers, others, goods, strict=True)])
    model.train()
    kto_trainer.beta = 0.3
    inputs: dict[str, torch.Tensor] = {"label": torch.tensor(goods)}
    for prefix, sequences in (("", answers), ("KL_", others)):
        names = ("input_ids", "attention_mask", "completion_mask")
        inputs |= {f"{prefix}{name}": each for name, each in zip(names, padded(sequences), strict=True)}
    known = torch.tensor([row.reference for row in rows])
    inputs |= {"ref_logps": known[:, 0], "ref_KL_logps": known[:, 1]}
    *found, _ = ours(model, rows, "kto", PreferenceSettings(beta=0.3))
    agree(found, theirs(kto_trainer, model, inputs))


def test_the_odds_ratio_loss_is_that_of_trl(orpo_trainer, model):
    """With prompts of one token: TRL's cross-entropy is over the prompt too, ours over the answer."""
    rows = pairs(5, prompt_tokens=1)
    orpo_trainer.beta = 0.4
    inputs = {}
    for side in ("chosen", "rejected"):
        ids, seen, answered = padded([getattr(row, side) for row in rows])
        labels = ids.masked_fill(answered == 0, -100)
        inputs |= {f"{side}_input_ids": ids, f"{side}_attention_mask": seen, f"{side}_labels": labels}
    inputs |= {"prompt_input_ids": ids[:, :1], "prompt_attention_mask": seen[:, :1]}
    *found, _ = ours(model, rows, "orpo", PreferenceSettings(beta=0.4))
    agree(found, theirs(orpo_trainer, model, inputs))


def test_measured_log_probabilities_are_means_over_all_pairs(model):
    rows = pairs(5)
    _, beside = measure_all(model, rows, PREFERENCE_LOSSES["orpo"](PreferenceSettings()), batch_size=2)
    both = sequence_log_probs(model, pack(rows, 64), CPU).reshape(-1, 2).mean(0)
    assert [beside["log_probs_chosen"], beside["log_probs_rejected"]] == pytest.approx(both.tolist(), rel=1e-5)


@pytest.mark.parametrize("name", ["dpo", "ipo", "orpo", "kto"])
def test_a_step_against_the_gradient_lowers_the_loss(model, reference, name):
    rows = pairs(4)
    if name == "kto":
        rows = [Rated(row.chosen, row.rejected, bool(i % 2)) for i, row in enumerate(rows)]
    rows = referred(reference, rows)
    before, slope, _ = ours(model, rows, name, PreferenceSettings(beta=0.5))
    start = torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()
    torch.nn.utils.vector_to_parameters(start - 0.01 * slope / slope.norm(), model.parameters())
    after = ours(model, rows, name, PreferenceSettings(beta=0.5))[0]
    torch.nn.utils.vector_to_parameters(start, model.parameters())
    assert after < before


class Losses(list):
    def log(self, step, metrics):
        self.extend([metrics["train/loss"]] if "train/loss" in metrics else [])

    def flush(self): ...


def test_training_starts_from_rewards_of_zero_whatever_the_dropout_of_the_base(tmp_path):
    base = load_base(FinetuneConfig(base_model="bundled"))
    dropouts = [module for module in base.model.modules() if isinstance(module, torch.nn.Dropout)]
    for module in dropouts:
        module.p = 0.5
    config, found = FinetuneConfig(epochs=1, batch_size=4, dropout=0.25), Losses()
    loss = PREFERENCE_LOSSES["dpo"](PreferenceSettings())
    tuned = finetune(pairs(4), pairs(1), base, config, found, StateFolder(tmp_path), loss)
    assert dropouts and found[0] == pytest.approx(math.log(2), abs=1e-4)
    own = {module.p for name, module in tuned.model.named_modules() if name.endswith("lora_dropout.default")}
    assert own == {0.25}
